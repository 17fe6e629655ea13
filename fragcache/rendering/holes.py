"""Holes: parts of what is kept that each page fills in for itself.

A render that is to be kept leaves a mark where a hole is; marks are cut out of its HTML, and their
places are kept beside it. Showing it is a join. Nothing that was kept is ever compiled.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol
from weakref import WeakSet, WeakValueDictionary

from django.template.context import Context
from django.utils.safestring import SafeString

from fragcache import packing
from fragcache.additions import Added
from fragcache.exceptions import ImproperlyDeclared, InvalidArguments, NotPackable
from fragcache.holed import END, Hole, Holed

#: Variables of a page that are every visitor's own, and holes wherever they are shown.
LIVE_VARIABLES: Final = ("csrf_token", "csrf_input", "csp_nonce")


class Compiled(Protocol):
    """A ``{% nocache %}`` as an engine compiled it; each engine has its own kind."""

    def filled(self, context: Context, captured: Mapping[str, Any]) -> str:
        """Return what it shows on a page that has this context."""


class Compiler(Protocol):
    """What compiles the templates of an engine that is none of Django's."""

    def compile_holes(self, template_name: str) -> None:
        """Compile those of a template, if the engine has it: each calls ``compiled``."""


#: By template name and fingerprint.
_compiled: WeakValueDictionary[tuple[str | None, str], Compiled] = WeakValueDictionary()
_compilers: WeakSet[Compiler] = WeakSet()


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

    def added(self, added: Sequence[Added]) -> str:
        """Return what stands for additions to the page, around their texts."""
        return "".join(
            self.printed(Hole("", captured=_place_of(one), adds=one.name))
            + one.text
            + self.printed(Hole("", adds=END))
            for one in added
        )

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
                "csp_nonce in it, which is not there yet, or adds to the page: apply it inside."
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


def recorder() -> Recorder | None:
    """Return what records the holes of what renders now, None where nothing is kept."""
    return _recorder.get()


def found(template_name: str | None, fingerprint: str) -> Compiled | None:
    """Return a ``{% nocache %}`` that this process has compiled, or None."""
    return _compiled.get((template_name, fingerprint))


def compilers() -> list[Compiler]:
    """Return what compiles templates of other engines."""
    return list(_compilers)


def add_compiler(compiler: Compiler) -> None:
    """Let pages find holes in templates of an engine, as long as ``compiler`` lives."""
    _compilers.add(compiler)


def compiled(template_name: str | None, fingerprint: str, hole: Compiled) -> None:
    """Note a ``{% nocache %}`` that was compiled, by which pages find it."""
    _compiled[template_name, fingerprint] = hole


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


def _place_of(added: Added) -> str:
    return json.dumps([added.where, isinstance(added.text, SafeString)])
