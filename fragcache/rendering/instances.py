"""Rendering: instances to HTML, in bulk, without a request and without the cache."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.utils.safestring import SafeString

from fragcache import axes, databases, items, registry, versions
from fragcache.additions import prepared
from fragcache.bubbling import Shown, note_includes, recorded
from fragcache.contexts.snapshots import take_snapshot
from fragcache.counters import tell
from fragcache.declarations import Fragment
from fragcache.dependencies import pack
from fragcache.digests import includes_digest, templates
from fragcache.entry import Kind
from fragcache.events import Event
from fragcache.exceptions import FragmentMissing, ImproperlyDeclared
from fragcache.rendering import holes, leaks, showing
from fragcache.rendering.unsaved import unsaved_among
from fragcache.tracing import Render, recording

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()
_is_uncached: Final = ContextVar("fragcache_is_uncached", default=False)


class Output(NamedTuple):
    """What one render gave."""

    html: str
    #: As it is stored; None where it must not be kept, since it shows what may not be.
    payload: bytes | None
    #: Microseconds, contexts of a batch in equal parts.
    cost: int
    #: Templates that were included by a variable.
    includes: tuple[str, ...] = ()
    #: The inner instances that it shows, as a header holds them; empty without any.
    dependencies: bytes = b""
    #: Until when they are fresh, in microseconds since 1970 UTC; 0 is without end.
    fresh_until: int = 0

    @property
    def is_storable(self) -> bool:
        return self.payload is not None


def render_fragment(
    f: str | Fragment | type[Fragment],
    *args: Any,
    request: HttpRequest | None = None,
    **kwargs: Any,
) -> SafeString:
    """Return a fragment rendered now; nothing is read from the cache or stored.

    ``request`` is for holes, and for axes that read it.

    Raises:
        UnknownFragment: no fragment of that name is declared.
        InvalidArguments: the arguments do not fit.
        FragmentMissing: no item has that primary key, or the fragment is only published here.
        ImproperlyDeclared: an axis has no value without the request.
    """
    fragment = registry.get(f)
    instance = fragment.parameters.instance(args, kwargs)
    with axes.activated(axes.current_values(fragment.axes, request)):
        output = render_many(fragment, [instance.arguments])[0]
    if output is None:
        raise missing(fragment, instance.arguments)
    return SafeString(showing.shown(output.html, lambda: showing.context_of(request)))


def render_many(
    fragment: Fragment,
    arguments: Sequence[tuple[Any, ...]],
    *,
    fresh: bool = False,
    versions_from: frozenset[str] = frozenset(),
    carried: Sequence[versions.Version | None] = (),
) -> list[Output | None]:
    """Return the outputs of instances in their order, None for those without a row.

    What will be stored is rendered from ``fresh`` rows, never from a caller's objects, and from
    the database that their versions were read from; under versions ``carried`` that rows have.
    """
    using = next(iter(versions_from)) if fresh and len(versions_from) == 1 else None
    with databases.recorded() as used:
        loaded = items.load(fragment, arguments, fresh=fresh, using=using)
        unsaved = unsaved_among(fragment, arguments, loaded, carried)
        rendered = _render_present(fragment, [bound for bound in loaded if bound is not None])
    for position in unsaved:
        rendered[position] = rendered[position]._replace(payload=None)
    if used != versions_from and (lagging := databases.behind(used, versions_from)):
        rendered = _not_to_be_kept(fragment, rendered, versions_from, lagging)
    outputs = iter(rendered)
    return [None if bound is None else next(outputs) for bound in loaded]


@contextmanager
def uncached() -> Iterator[None]:
    """Render within what is shown inside of a render, too, as a run would store it.

    The cache is neither read nor written then, but for fragments of another site.
    """
    reset = _is_uncached.set(True)
    try:
        yield
    finally:
        _is_uncached.reset(reset)


def is_uncached() -> bool:
    """Whether fragments are to be rendered, and not read."""
    return _is_uncached.get()


def missing(fragment: Fragment, arguments: tuple[Any, ...]) -> FragmentMissing:
    """Return the error for an instance that is not to be had."""
    given = ", ".join(map(repr, arguments))
    if not fragment.is_remote:
        return FragmentMissing(
            f"{fragment.name}({given}) is not among the fragment's items: it was deleted, or "
            "items() leaves it out."
        )
    if fragment.publish == "context":
        return FragmentMissing(
            f"{fragment.name}({given}) has no HTML: its source publishes contexts. Show it by a "
            "template of this site with remote_fragment(), or use fetch_context()."
        )
    return FragmentMissing(
        f"{fragment.name}({given}) is not in the cache, and this site cannot render it: run "
        "warm_fragments on the source, or pass default=."
    )


def _render_present(fragment: Fragment, arguments: Sequence[tuple[Any, ...]]) -> list[Output]:
    if not arguments:
        return []
    if fragment.entry_kind is Kind.SNAPSHOT:
        return _snapshots(fragment, arguments)
    template = fragment.get_template()
    with holes.recorded() as recorder:
        return _render_marked(fragment, template, arguments, recorder)


def _render_marked(
    fragment: Fragment,
    template: Any,
    arguments: Sequence[tuple[Any, ...]],
    recorder: holes.Recorder,
) -> list[Output]:
    live = holes.live_variables()
    around = leaks.isolation(fragment.name)
    began = time.perf_counter_ns()
    with recorded() as recording:
        contexts = _contexts(fragment, arguments)
        in_contexts = recording.part()
    began_next = time.perf_counter_ns()
    share = (began_next - began) // len(arguments)
    outputs = []
    with recorded() as recording:
        for bound, context in zip(arguments, contexts, strict=True):
            began = began_next
            added_to = prepared()
            variables = {**live, **context, **added_to.variables}
            with _told(fragment, bound, share):
                marked, includes = templates.render(template, variables, around)
            if added := added_to.added(fragment.name):
                marked += recorder.added(added)
            html = recorder.cut(marked, fragment.name)
            if includes:
                note_includes(includes)
            shown = recording.part()
            if not in_contexts.is_empty:
                shown = shown.together_with(in_contexts)
            payload = _payload(fragment, html, shown)
            began_next = time.perf_counter_ns()
            cost = (share + began_next - began) // 1000
            outputs.append(_output(html, payload, cost, shown))
    return outputs


def _told(
    fragment: Fragment, arguments: tuple[Any, ...], context_time: int
) -> AbstractContextManager[Any]:
    if not (recording.is_on and recording.is_wanted()):
        return _NOTHING
    encoded = fragment.parameters.instance(arguments).encoded
    text = fragment.parameters.text(arguments)
    return recording.span(
        Render(fragment=fragment.name, arguments=text, encoded=encoded, context_time=context_time)
    )


def _snapshots(fragment: Fragment, arguments: Sequence[tuple[Any, ...]]) -> list[Output]:
    began = time.perf_counter_ns()
    with recorded() as recording:
        contexts = _contexts(fragment, arguments)
        taken = [take_snapshot(context, fragment.expose) for context in contexts]
        shown = recording.part()
    cost = (time.perf_counter_ns() - began) // 1000 // len(arguments)
    return [_output("", _payload(fragment, one, shown), cost, shown) for one in taken]


def _output(html: str, payload: bytes | None, cost: int, shown: Shown) -> Output:
    if shown.is_empty:  # optimisation: most show nothing of others
        return Output(html, payload, cost)
    return Output(
        html,
        payload,
        cost,
        tuple(sorted(shown.includes)),
        pack(shown.dependencies) if shown.dependencies else b"",
        shown.fresh_until,
    )


def _payload(fragment: Fragment, output: str | bytes, shown: Shown) -> bytes | None:
    """Return an output that is the same for all who will find it, and can be told to be current."""
    if shown.has_unstorable:
        return None
    if shown.axes and (others := shown.axes.difference(fragment.axes)):
        tell(
            Event.NOT_STORED,
            fragment.name,
            "axes",
            "%s is not stored: it shows what varies on %s, on which it does not vary.",
            fragment.name,
            ", ".join(sorted(others)),
        )
        return None
    try:
        if shown.includes:
            includes_digest(tuple(sorted(shown.includes)))
        return output if isinstance(output, bytes) else output.encode()
    except (UnicodeEncodeError, ImproperlyDeclared, TemplateDoesNotExist, TemplateSyntaxError) as e:
        message = "%s is not stored: %s"
        tell(Event.NOT_STORED, fragment.name, type(e).__name__, message, fragment.name, e)
        return None


def _not_to_be_kept(
    fragment: Fragment, outputs: list[Output], versions_from: frozenset[str], lagging: list[str]
) -> list[Output]:
    tell(
        Event.NOT_STORED,
        fragment.name,
        "databases",
        "%s is not stored: its version was read from the database %s, and its data from %s, which "
        "may lag behind. Let the router read what a row leads to where the row was read "
        "(hints['instance']._state.db).",
        *(fragment.name, ", ".join(sorted(versions_from)), ", ".join(lagging)),
    )
    return [output._replace(payload=None) for output in outputs]


def _contexts(fragment: Fragment, arguments: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    contexts = fragment.get_contexts(arguments)
    if len(contexts) != len(arguments):
        raise ImproperlyDeclared(
            f"{fragment.name}.get_contexts() returned {len(contexts)} contexts for "
            f"{len(arguments)} items: one each is needed, in the same order."
        )
    for context in contexts:
        if not isinstance(context, dict):
            raise ImproperlyDeclared(
                f"{fragment.name}: its context is a {type(context).__name__}, not a dict: "
                f"{context!r}."
            )
    return contexts


arender_fragment = sync_to_async(render_fragment)
