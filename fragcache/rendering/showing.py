"""Showing: HTML that was kept, with what the live page fills in."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.template import Engine, RequestContext, Template, TemplateDoesNotExist, engines
from django.template.backends.django import DjangoTemplates
from django.template.context import Context
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from fragcache import additions, conf, packing
from fragcache.counters import degrade
from fragcache.events import Event
from fragcache.exceptions import ImproperlyDeclared
from fragcache.holed import END, Hole, Holed
from fragcache.rendering import holes
from fragcache.rendering.holes import Compiled


class Alone(Context):
    """The context of HTML that no template shows, so that nothing can be added to its page."""


def shown(html: str, live: Callable[[], Context]) -> str:
    """Return HTML with its holes filled, for a page or the render that shows it.

    ``live`` returns the page's context, bound to a template. What the HTML adds to the page is
    added to that.
    """
    if not isinstance(html, Holed):
        return html
    recorder = holes.recorder()
    if recorder is None:
        captured = _captured(html.holes)
        return _joined(
            html, live(), lambda n, context: _filled(html.holes[n], captured[n], context)
        )
    if not any(hole.adds for hole in html.holes) or isinstance(context := live(), Alone):
        return SafeString(recorder.marked(html))
    return _joined(html, context, lambda n, _context: recorder.mark(html.holes[n]))


def context_of(request: HttpRequest | None) -> Context:
    """Return the context of a page that is no template, as far as its request tells."""
    template = _empty_template()
    if request is None:
        live = Alone(autoescape=template.engine.autoescape)
    else:
        whole = RequestContext(request)
        with whole.bind_template(template):
            values = {str(name): value for name, value in whole.flatten().items()}
        live = Alone({"request": request, **values}, autoescape=template.engine.autoescape)
    live.template = template
    return live


def _joined(html: Holed, context: Context, fill: Callable[[int, Context], str]) -> SafeString:
    """Return HTML with what ``fill`` gives for each hole, and add to the page what it adds."""
    parts = [html.pieces[0]]
    open_parts: list[list[str]] = []
    begun: list[Hole] = []
    for number, (piece, hole) in enumerate(zip(html.pieces[1:], html.holes, strict=True)):
        if hole.adds == END:
            text, parts = "".join(parts), open_parts.pop()
            _add(begun.pop(), text, context)
        elif hole.adds:
            begun.append(hole)
            open_parts.append(parts)
            parts = []
        else:
            parts.append(fill(number, context))
        parts.append(piece)
    return SafeString("".join(parts))


def _add(begin: Hole, text: str, context: Context) -> None:
    """Add to a page what a render has added.

    Raises:
        ImproperlyDeclared: the page has no place for it, in DEBUG and in tests.
    """
    where, is_safe = json.loads(begin.captured)
    try:
        if isinstance(context, Alone):
            raise LookupError("show it by a tag in one of Django's templates")
        addition = additions.get(begin.adds)
        addition.replay(context, where, SafeString(text) if is_safe else text)
    except LookupError as error:
        message = f"What is added to {where!r} of {begin.adds} is lost: {error}."
        if not isinstance(context, Alone) and (settings.DEBUG or conf.is_testing()):
            raise ImproperlyDeclared(message) from error
        degrade(Event.ABSENT, "", f"addition to {where}", "%s", message)


@functools.cache
def _empty_template() -> Template:
    found = [backend for backend in engines.all() if isinstance(backend, DjangoTemplates)]
    return (found[0].engine if found else Engine()).from_string("")


def _captured(listed: Sequence[Hole]) -> list[dict[str, Any] | None]:
    """Return the variables that each has captured, None where a row is gone; a query per model."""
    texts = ["" if hole.adds else hole.captured for hole in listed]
    if not any(texts):  # optimisation: most see the page alone
        return [{} for _text in texts]
    packed = [json.loads(text or "{}") for text in texts]
    loaded = packing.loaded([list(values.values()) for values in packed])
    return [
        None if values is None else dict(zip(names, values, strict=True))
        for names, values in zip(packed, loaded, strict=True)
    ]


def _filled(hole: Hole, values: Mapping[str, Any] | None, context: Context) -> str:
    if hole.variable:
        return conditional_escape(live_value(hole.variable, context))
    _kept_alive, compiled = _found(hole, context)
    return "" if compiled is None or values is None else compiled.filled(context, values)


def live_value(name: str, context: Context) -> Any:
    """Return the value of one of ``LIVE_VARIABLES`` on a page, "" where it has none."""
    value = context.get(name)
    if value is None and name == "csrf_input" and (token := context.get("csrf_token")):
        # Django's templates have the token alone.
        return format_html('<input type="hidden" name="csrfmiddlewaretoken" value="{}">', token)
    return value or ""


def _found(hole: Hole, context: Context) -> tuple[Template | None, Compiled | None]:
    """Return a compiled ``{% nocache %}``, and what keeps it alive; None where nobody has it."""
    key = hole.template_name, hole.fingerprint
    compiled = holes.found(*key)
    template: Any = context.template
    if compiled is None and hole.template_name is not None:
        with suppress(TemplateDoesNotExist):
            template = template.engine.get_template(hole.template_name)
        compiled = holes.found(*key)
        for compiler in holes.compilers() if compiled is None else ():
            compiler.compile_holes(hole.template_name)
        compiled = compiled or holes.found(*key)
    if compiled is None:
        degrade(
            Event.ABSENT,
            "",
            f"hole in {hole.template_name}",
            "A {%% nocache %%} in %s cannot be filled in: this site has no such template, or "
            "another release of it.",
            hole.template_name,
        )
    return template, compiled


def _forget(**_kwargs: object) -> None:
    _empty_template.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.rendering.showing")
