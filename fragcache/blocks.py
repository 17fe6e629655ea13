"""Blocks: parts of templates that are kept as entries, without a declaration.

What a block shows is known to its body alone, which reads the variables of the page around it. So
a block has no version: it is kept for its time-out, by template, name and the values it varies on.
Its digest is that of the template that it stands in and of its body, as they were compiled.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.safestring import SafeString

from fragcache import conf
from fragcache.arguments import Parameters
from fragcache.bubbling import note_unstorable
from fragcache.counters import Event, degrade
from fragcache.digests import Digested, digest_of_compiled
from fragcache.exceptions import InvalidArguments, UndefinedArgument
from fragcache.reading import get_fragments
from fragcache.templates import Closure
from fragcache.token_memory import TokenName

#: Stands between template and block in names, and in no name of a declared fragment.
SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class Block(ABC):
    """A block as an engine compiled it; each engine has its own kind."""

    template_name: str
    name: str
    #: Tells the compiled source of the template, and the block's body in it, from all others.
    fingerprint: str

    @property
    @abstractmethod
    def is_reloading(self) -> bool:
        """Whether templates are compiled anew as soon as they change."""

    @abstractmethod
    def closure(self) -> Closure:
        """Return what the template is made of."""


class BlockFragment(Digested):
    """A block with the parameters that its values have, by position."""

    body: Callable[[], str]

    def __init__(self, template_name: str, block_name: str, values: int, axes: Any) -> None:
        # Nobody declares it, so that nothing is checked but the axes.
        self.name = _name(template_name, block_name)
        self.template_name = template_name
        self.block_name = block_name
        self.vary_on = axes
        self.values = values

    @cached_property
    def parameters(self) -> Parameters:
        names = tuple(f"value_{number}" for number in range(1, self.values + 1))
        return Parameters(owner=self.name, names=names)

    @cached_property
    def token_name(self) -> TokenName:
        """The block's name alone, by which an invalidation reaches it in every template."""
        return token_name(self.block_name)

    def get_contexts(self, items: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        return [{} for _values in items]

    def get_template(self) -> Body:
        return Body(self.body)


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a block, in the place of a template."""

    show: Callable[[], str]

    def render(self, _context: dict[str, Any]) -> str:
        return self.show()


def shown_block(
    block: Block,
    values: Sequence[Any],
    *,
    timeout: Any,
    render: Callable[[], str],
    request: HttpRequest | None = None,
    using: str | None = None,
    vary_on: Sequence[str] = (),
    undefined: Sequence[str] = (),
) -> SafeString:
    """Return the HTML of a block, from the cache or by ``render()``.

    ``values`` are what it varies on beside language, time zone and the axes of ``vary_on``;
    ``timeout`` is in seconds, None for ever, and with 0 or less nothing is kept. ``undefined``
    names what of all this did not resolve: then nothing is read or kept either.

    Raises:
        InvalidArguments, NoIdentity: the time-out is no number, or a value has no canonical form.
        UnknownAxis: ``vary_on`` names none.
        UndefinedArgument: in DEBUG and in tests.
    """
    if undefined:
        return _shown_of_undefined(block, undefined, render)
    seconds = _seconds(block, timeout)
    if seconds is not None and seconds <= 0:
        return SafeString(render())
    axes = vary_on if isinstance(vary_on, str) else tuple(vary_on)
    fragment = copy.copy(_fragment(block.template_name, block.name, len(values), axes))
    fragment.digest = digest_of_compiled(block)
    fragment.timeout = seconds
    fragment.using = using
    fragment.body = render
    html: SafeString = get_fragments(fragment, [tuple(values)], request=request)[0]
    return html


def shown_unstored(
    block: Block,
    why: str,
    render: Callable[[], str],
    event: Event = Event.NOT_STORED,
) -> SafeString:
    """Return the HTML of a block of which nothing may be kept, nor of what shows it."""
    note_unstorable()
    name = _name(block.template_name, block.name)
    degrade(event, name, why, "%s is not stored: %s", name, why)
    return SafeString(render())


def _shown_of_undefined(
    block: Block, undefined: Sequence[str], render: Callable[[], str]
) -> SafeString:
    message = (
        f"{{% cache %}} {block.name!r} in {block.template_name}: {', '.join(undefined)} does not "
        "resolve. Is it misspelled, or not passed to this template? Where it may be absent, give "
        "it a default."
    )
    if settings.DEBUG or conf.is_testing():
        raise UndefinedArgument(message)
    return shown_unstored(block, message, render, Event.UNDEFINED_ARGUMENT)


def token_name(block_name: str) -> TokenName:
    """Return the name of the token under which all blocks of that name are current."""
    return TokenName(SEPARATOR + _in_keys(block_name))


def _seconds(block: Block, timeout: Any) -> float | None:
    if timeout is None:
        return None
    try:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float | str):
            raise ValueError
        return int(timeout) if isinstance(timeout, str) else timeout
    except ValueError:
        raise InvalidArguments(
            f"{{% cache %}} {block.name!r} in {block.template_name}: its time-out is {timeout!r}, "
            "not a number of seconds or None."
        ) from None


@lru_cache(maxsize=4096)
def _fragment(
    template_name: str, block_name: str, values: int, vary_on: Sequence[str]
) -> BlockFragment:
    fragment = BlockFragment(template_name, block_name, values, vary_on)
    # Copies, of which each use of a block has one, share what is computed here.
    _ = fragment.parameters, fragment.axes, fragment.token_name, fragment.is_versioned
    return fragment


def _name(template_name: str, block_name: str) -> str:
    return f"{_in_keys(template_name)}{SEPARATOR}{_in_keys(block_name)}"


def _in_keys(name: str) -> str:
    # quote() leaves ~ as it is, which marks keys that are hashed.
    return quote(name, safe="/.,+<>", errors="surrogatepass").replace("~", "%7E")


def _forget(**_kwargs: object) -> None:
    _fragment.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.blocks")
