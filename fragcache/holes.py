"""Holes: parts of what is kept that each page fills in for itself.

A render that is to be kept leaves a mark where a hole is; marks are cut out of its HTML, and their
places are kept beside it. Showing it is a join. Nothing that was kept is ever compiled.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakValueDictionary

from django.core.signals import setting_changed
from django.http import HttpRequest
from django.template import Engine, RequestContext, Template, TemplateDoesNotExist, engines
from django.template.backends.django import DjangoTemplates
from django.template.base import Node
from django.template.context import Context
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

from fragcache import packing
from fragcache.counters import Event, degrade
from fragcache.exceptions import ImproperlyDeclared, InvalidArguments, NotPackable
from fragcache.holed import Hole, Holed

#: Variables of a page that are every visitor's own, and holes wherever they are shown.
LIVE_VARIABLES: Final = ("csrf_token", "csp_nonce")

#: Compiled ``{% nocache %}`` by template name and fingerprint.
_compiled: WeakValueDictionary[tuple[str | None, str], Node] = WeakValueDictionary()


class Recorder:
    """The holes of the renders that run under it."""

    def __init__(self) -> None:
        #: In every mark, so that nobody who writes content can know one; made with the first.
        self._nonce = ""
        self._holes: list[Hole] = []
        #: Those of tags, which print their marks, since the last cut.
        self._printed: set[str] = set()

    def printed(self, hole: Hole) -> str:
        """Return the mark of a tag, which has to be in the HTML that is cut next."""
        mark = self.mark(hole)
        self._printed.add(mark)
        return mark

    def mark(self, hole: Hole) -> str:
        """Return what stands for a hole until the HTML is cut."""
        self._nonce = self._nonce or secrets.token_hex(8)
        self._holes.append(hole)
        return f"[[{self._nonce}-{len(self._holes) - 1}]]"

    def marked(self, html: Holed) -> str:
        """Return HTML that has holes as part of what renders now."""
        parts = [html.pieces[0]]
        for piece, hole in zip(html.pieces[1:], html.holes, strict=True):
            parts += [self.mark(hole), piece]
        return "".join(parts)

    def cut(self, html: str, owner: str) -> str:
        """Return HTML without its marks, ``Holed`` if there were any.

        Raises:
            ImproperlyDeclared: a filter has changed a mark.
        """
        printed, self._printed = self._printed, set()
        if not self._holes:  # optimisation: most have none
            return html
        pieces = re.split(rf"\[\[{self._nonce}-(\d+)\]\]", html)
        if not all(mark in html for mark in printed) or any(
            self._nonce in piece.casefold() for piece in pieces[::2]
        ):
            raise ImproperlyDeclared(
                f"{owner}: a filter is applied to what has {{% nocache %}}, csrf_token or "
                "csp_nonce in it, which is not there yet: apply it inside of the {% nocache %}."
            )
        if len(pieces) == 1:
            return html
        return Holed.of(pieces[::2], [self._holes[int(number)] for number in pieces[1::2]])


class LiveVariable:
    """Stands for a variable of the page in a render that is to be kept."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self._name = name
        self._recorder = recorder

    def __str__(self) -> str:
        return self._recorder.mark(Hole(self._name))

    def __html__(self) -> str:
        return str(self)


_recorder: ContextVar[Recorder | None] = ContextVar("fragcache_holes", default=None)


class recorded:
    """What renders within leaves marks for holes."""

    __slots__ = ("_reset",)

    def __enter__(self) -> Recorder:
        recorder = Recorder()
        self._reset = _recorder.set(recorder)
        return recorder

    def __exit__(self, *_error: object) -> None:
        _recorder.reset(self._reset)


def is_recording() -> bool:
    """Whether what renders now is kept."""
    return _recorder.get() is not None


def live_variables() -> dict[str, LiveVariable]:
    """Return what stands for the page's own variables in a render that is to be kept."""
    recorder = _recorder.get()
    if recorder is None:
        return {}
    return {name: LiveVariable(name, recorder) for name in LIVE_VARIABLES}


def compiled(template_name: str | None, fingerprint: str, node: Node) -> None:
    """Note a ``{% nocache %}`` that was compiled, by which pages find it."""
    _compiled[template_name, fingerprint] = node


def placed(template_name: str | None, fingerprint: str, given: Mapping[str, Any]) -> str | None:
    """Return what stands for a ``{% nocache %}`` that has captured variables.

    None where what renders is shown at once.

    Raises:
        InvalidArguments: a variable cannot be captured.
    """
    recorder = _recorder.get()
    if recorder is None:
        return None
    captured = {}
    for name, value in given.items():
        try:
            captured[name] = packing.packed_value(value)
        except NotPackable as error:
            raise InvalidArguments(
                f"{{% nocache %}} in {template_name} captures {name}={value!r}, which cannot be "
                f"kept ({error}) Capture texts, numbers, truth values or rows."
            ) from error
    return recorder.printed(
        Hole("", template_name, fingerprint, json.dumps(captured) if captured else "")
    )


def shown(html: str, live: Callable[[], Context]) -> str:
    """Return HTML with its holes filled, for a page or the render that shows it.

    ``live`` returns the page's context, bound to a template.
    """
    if not isinstance(html, Holed):
        return html
    recorder = _recorder.get()
    if recorder is not None:
        return SafeString(recorder.marked(html))
    context = live()
    captured = _captured(html.holes)
    parts = [html.pieces[0]]
    for piece, hole, values in zip(html.pieces[1:], html.holes, captured, strict=True):
        parts += [_filled(hole, values, context), piece]
    return SafeString("".join(parts))


def context_of(request: HttpRequest | None) -> Context:
    """Return the context of a page that is no template, as far as its request tells."""
    template = _empty_template()
    if request is None:
        live = Context(autoescape=template.engine.autoescape)
    else:
        whole = RequestContext(request)
        with whole.bind_template(template):
            values = {str(name): value for name, value in whole.flatten().items()}
        live = Context({"request": request, **values}, autoescape=template.engine.autoescape)
    live.template = template
    return live


@functools.cache
def _empty_template() -> Template:
    found = [backend for backend in engines.all() if isinstance(backend, DjangoTemplates)]
    return (found[0].engine if found else Engine()).from_string("")


def _captured(holes: Sequence[Hole]) -> list[dict[str, Any] | None]:
    """Return the variables that each has captured, None where a row is gone; a query per model."""
    if not any(hole.captured for hole in holes):  # optimisation: most see the page alone
        return [{} for _hole in holes]
    packed = [json.loads(hole.captured or "{}") for hole in holes]
    loaded = packing.loaded([list(values.values()) for values in packed])
    return [
        None if values is None else dict(zip(names, values, strict=True))
        for names, values in zip(packed, loaded, strict=True)
    ]


def _filled(hole: Hole, values: Mapping[str, Any] | None, context: Context) -> str:
    if hole.variable:
        return conditional_escape(context.get(hole.variable) or "")
    _kept_alive, node = _found(hole, context)
    if node is None or values is None:
        return ""
    if not values:
        return str(node.nodelist.render(context))
    with context.push(**values):
        return str(node.nodelist.render(context))


def _found(hole: Hole, context: Context) -> tuple[Template | None, Any]:
    """Return a compiled ``{% nocache %}``, and what keeps it alive; None where nobody has it."""
    key = hole.template_name, hole.fingerprint
    node = _compiled.get(key)
    template: Any = context.template
    if node is None and hole.template_name is not None:
        with suppress(TemplateDoesNotExist):
            template = template.engine.get_template(hole.template_name)
        node = _compiled.get(key)
    if node is None:
        degrade(
            Event.ABSENT,
            "",
            f"hole in {hole.template_name}",
            "A {%% nocache %%} in %s cannot be filled in: this site has no such template, or "
            "another release of it.",
            hole.template_name,
        )
    return template, node


def _forget(**_kwargs: object) -> None:
    _empty_template.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.holes")
