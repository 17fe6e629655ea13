"""What a lookup found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from fragcache.events import Event
from fragcache.local import Kept
from fragcache.reading.noting import Inner
from fragcache.slots import Slot


@dataclass(slots=True)
class Lookup:
    """What was found, by position."""

    #: None for what is not there, or due.
    html: list[SafeString | None]
    #: How often what happened, to be counted.
    events: dict[Event, int]
    #: Where what is due will lie. Positions of one instance share a slot, which carries its tokens
    #: if it may be stored, and why it is due.
    due: dict[int, Slot] = field(default_factory=dict)
    #: What is fresh, and yet to be renewed.
    ending: list[Slot] = field(default_factory=list)
    #: Inside of a render, what it shows thereby.
    inner: Inner | None = None
    #: What was found of entries, fresh ones and others.
    copies: Sequence[Kept | None] = ()
    #: How many of the hits the process held.
    local: int = 0
    #: Of a target, to which nothing is due: why what it misses is not there, by position.
    reasons: Mapping[int, str] = field(default_factory=dict)
    #: Of a target, the positions that show what is stale.
    stale: Collection[int] = ()
