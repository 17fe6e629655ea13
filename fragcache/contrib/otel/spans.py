"""What ``fragcache.tracing`` tells, as spans of OpenTelemetry's API.

    GET /blog                       of the site's instrumentation
      fetch blog.post_card          a call of a tag or function, for all of its instances
        GET                         of the cache's client, if that is instrumented
        render blog.post_card       each instance that was missing
          SELECT                    of the database's driver

    warm                            a run of warm_fragments
      warm blog.post_card           a batch of it
        render blog.post_card

Arguments and axis values are personal data, unless ``instrument(arguments=True)`` says otherwise.
Names of attributes are those of the semantic conventions, where these have any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.conf import settings as django_settings
from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from fragcache import conf, registry, tracing
from fragcache.tracing import Call, Render, Span, Warming

#: By a part of the name of the backend of a cache.
_SYSTEMS: Final[Mapping[str, str]] = {"redis": "redis", "valkey": "redis", "memcache": "memcached"}

Attributes = dict[str, AttributeValue]


def instrument(tracer_provider: TracerProvider | None = None, *, arguments: bool = False) -> None:
    """Make a span of each call for fragments, each render, and each warm run and its batches.

    Args:
        tracer_provider: the global one, unless one is given.
        arguments: also tell for which arguments and axis values.
    """
    global _listener
    uninstrument()
    tracer = trace.get_tracer("fragcache", tracer_provider=tracer_provider)
    _listener = _Listener(tracer, tells_arguments=arguments)
    tracing.listen(_listener)


def uninstrument() -> None:
    """Make no more spans."""
    global _listener
    if _listener is not None:
        tracing.leave(_listener)
        _listener = None


class _Open(NamedTuple):
    span: trace.Span
    #: Of the context in which it is the current one.
    token: Any


class _Listener:
    """Begins and ends a span of OpenTelemetry with each of ``fragcache.tracing``."""

    def __init__(self, tracer: trace.Tracer, *, tells_arguments: bool) -> None:
        self._tracer = tracer
        self._tells_arguments = tells_arguments
        self._open: dict[Span, _Open] = {}

    def began(self, span: Span) -> None:
        made = self._tracer.start_span(_name(span), start_time=span.began_at)
        self._open[span] = _Open(made, context.attach(trace.set_span_in_context(made)))

    def ended(self, span: Span) -> None:
        found = self._open.pop(span, None)
        if found is None:  # it began before anybody listened
            return
        context.detach(found.token)
        if found.span.is_recording():
            found.span.set_attributes(_attributes(span))
            if self._tells_arguments:
                found.span.set_attributes(_arguments(span))
            if span.error:
                found.span.set_attribute("error.type", span.error)
                found.span.set_status(Status(StatusCode.ERROR))
        found.span.end(span.began_at + span.duration)


_listener: _Listener | None = None


def _name(span: Span) -> str:
    verb = {Render: "render", Warming: "warm"}.get(type(span), "fetch")
    return f"{verb} {span.fragment}".rstrip()


def _attributes(span: Span) -> Attributes:
    found: Attributes = {}
    if span.fragment:
        found["fragcache.fragment"] = span.fragment
    if isinstance(span, Call):
        found |= _of_call(span)
    elif isinstance(span, Render):
        found["fragcache.context.duration"] = span.context_time / 1e9
    elif isinstance(span, Warming):
        found |= {f"fragcache.warm.{word}": times for word, times in span.counts.items()}
        if span.status:
            found["fragcache.warm.status"] = span.status
    if span.round_trips:
        found |= _of_cache(span.fragment)
        found["fragcache.round_trips"] = span.round_trips
        found["fragcache.waited"] = span.waited / 1e9
    return found


def _of_call(call: Call) -> Attributes:
    found: Attributes = {
        "fragcache.instances": len(call.shown),
        "fragcache.hits": sum(one.outcome.is_hit for one in call.shown),
        "fragcache.outcome": _distinct([one.outcome.value for one in call.shown]),
    }
    if reasons := _distinct([one.miss.removeprefix("miss_") for one in call.shown if one.miss]):
        found["fragcache.miss.reason"] = reasons
    if call.position is not None:
        found["code.file.path"] = call.position.name
        found["code.line.number"] = call.position.line
    return found


def _of_cache(fragment: str) -> Attributes:
    """Return which cache was asked; its system where its backend's name tells."""
    declared = registry.find(fragment)
    own = declared.using if declared is not None else None
    alias = own or conf.settings().cache_alias
    backend = str(django_settings.CACHES.get(alias, {}).get("BACKEND", "")).lower()
    system = next((_SYSTEMS[part] for part in _SYSTEMS if part in backend), None)
    return {"fragcache.cache.alias": alias, **({"db.system.name": system} if system else {})}


def _arguments(span: Span) -> Attributes:
    if isinstance(span, Call):
        axes = {f"fragcache.axis.{name}": str(value) for name, value in span.axes.items()}
        return {"fragcache.arguments": [one.arguments for one in span.shown], **axes}
    return {"fragcache.arguments": [span.arguments]} if isinstance(span, Render) else {}


def _distinct(words: Sequence[str]) -> list[str]:
    return sorted(set(words))
