"""A walk: how far a run is with one fragment, and what is told to others when it is through."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fragcache import axes, items, manifest, page
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import encode_axes
from fragcache.page import now
from fragcache.store import Store, store
from fragcache.warming import watermarks
from fragcache.warming.batches import Batch, batches
from fragcache.warming.due import Rank
from fragcache.warming.listing import Listing
from fragcache.warming.plan import Plan
from fragcache.warming.queries import are_per_instance
from fragcache.warming.renders import log_failure
from fragcache.warming.report import Tally
from fragcache.warming.units import Outcome, Unit, Versioned
from fragcache.warming.watermarks import Watermark

logger = logging.getLogger("fragcache.warm")


@dataclass(slots=True)
class Walk:
    """One fragment of a plan."""

    fragment: Fragment
    plan: Plan
    tally: Tally
    #: Instances of units that the crew has not done yet.
    pending: int = 0
    is_listed: bool = False
    has_failed: bool = False
    #: Whether its entries show others, so that its own rows do not tell all changes.
    is_nested: bool = False
    #: How many there are to render of each rank, as far as was looked.
    due: Counter[Rank] = field(default_factory=Counter)
    #: By the base of their keys, the tokens of what is to be listed once more.
    too_late: dict[str, bytes] = field(default_factory=dict)
    #: Whether its items carry data, which was read when they were listed.
    carries_data: bool = False
    _listings: int = 0
    _began: float = 0.0
    _has_warned: bool = False
    #: What the next run may rely on, when this one has completed; and what this one relies on.
    _watermark: Watermark | None = None
    _since: dt.datetime | None = None

    @property
    def is_done(self) -> bool:
        """Whether every instance was walked, though some may have failed."""
        return self.is_listed and not (self.pending or self.has_failed or self.too_late)

    @property
    def cache(self) -> Store:
        return store(self.plan.using or self.fragment.using)

    def begin(self) -> None:
        """Note that its units are listed, perhaps once more for a later rank."""
        self._began = time.monotonic() - self.tally.seconds
        self.is_listed = False

    def look_at_clock(self) -> None:
        self.tally.seconds = time.monotonic() - self._began

    def units(self, rank: Rank | None) -> Iterator[Unit]:
        """Yield the parts of the work, each a batch under one combination of axis values."""
        fragment, plan = self.fragment, self.plan
        chosen = {name: v for name, v in plan.axis_values.items() if name in fragment.axes}
        combinations = axes.combinations(fragment.axes, chosen)
        digest_of(fragment)  # which says what is wrong with the template before anything is read
        force = plan.force or not (fragment.is_versioned or plan.check)
        since = self._rows_since(combinations)
        listing = self._listing()
        for listed in batches(fragment, plan.batch_size, plan.only, since, plan.within):
            instances = self._without_failed(listed, is_first=not (rank or listing.number))
            carries_data = items.carry_data(fragment, [instance for instance, _ in instances])
            self.carries_data |= carries_data
            if listing.number and not carries_data:
                continue
            for values in self._most_worth_first(combinations):
                yield Unit(
                    fragment=fragment,
                    instances=instances,
                    axis_values=values,
                    using=plan.using,
                    force=force,
                    dry=plan.dry,
                    rank=None if listing.number else rank,
                    listing=listing if carries_data else None,
                )

    def _most_worth_first(
        self, combinations: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        name, worths = self.fragment.name, self.plan.worths
        if not worths:
            return combinations
        return sorted(
            combinations, key=lambda values: -worths.get((name, encode_axes(values)), 0.0)
        )

    def include(self, unit: Unit, outcome: Outcome) -> None:
        """Tally what became of a unit."""
        self.tally.include(outcome.tally)
        self.is_nested |= outcome.is_nested
        self.too_late |= outcome.too_late
        self.look_at_clock()
        if unit.is_first:
            self.due.update(outcome.due)
        self._warn_of_queries(outcome)

    def fail(self, error: Exception) -> None:
        """Note an error that is the fragment's as a whole."""
        self.has_failed = True
        self.tally.failed += 1
        name = self.fragment.name
        logger.error("%s: %s", name, error, exc_info=error, extra={"fragment": name})

    def publish(self) -> None:
        """Let targets follow, and the next run rely on it, when every instance was walked.

        Raises:
            CacheUnavailable: the cache does not answer; that it refuses is noted.
        """
        if self.is_done and self.plan.is_whole:
            is_sound = not (self.tally.failed or self.tally.refused or self.is_nested)
            walked = asdict(self._watermark) if self._watermark and is_sound else None
            try:
                manifest.publish(self.cache, [self.fragment], walked)
            except CacheUnavailable as error:
                if not error.is_refusal:
                    raise
                self.fail(error)

    def _listing(self) -> Listing:
        """Return that which begins now: the first one, or one of what was too late."""
        known, self.too_late = self.too_late, {}
        self._listings = self._listings + 1 if known else 0
        began = page.outside()
        return Listing(
            began=began.began, began_at=began.began_at, number=self._listings, known=known
        )

    def _rows_since(self, combinations: Sequence[Mapping[str, Any]]) -> dt.datetime | None:
        """Return from when on rows are read, None for all; and note what that will be worth."""
        fragment, plan = self.fragment, self.plan
        if plan.is_part or not watermarks.tells_changes(fragment):
            return None
        if self._watermark is not None:  # it is walked again, for a later rank
            return self._since
        began = now()
        scope = watermarks.scope_of(fragment, self.cache, combinations, may_write=not plan.dry)
        former = watermarks.usable(fragment, self.cache, scope) if plan.changed else None
        whole_at = began if former is None else former.whole_at
        self._watermark = Watermark(read_at=began, whole_at=whole_at, scope=scope)
        self._since = None if former is None else former.since
        return self._since

    def _without_failed(self, batch: Batch, *, is_first: bool) -> Versioned:
        sound = []
        for instance, version in batch:
            if not isinstance(version, Exception):
                sound.append((instance, version))
            elif is_first:  # else it was counted already
                self.tally.planned += 1
                self.tally.failed += 1
                log_failure(self.fragment, instance, version)
        return sound

    def _warn_of_queries(self, outcome: Outcome) -> None:
        instances = outcome.tally.rendered + outcome.tally.failed
        if self._has_warned or not are_per_instance(outcome.queries, instances):
            return
        self._has_warned = True
        logger.warning(
            "%s makes queries for each instance: %s for a batch of %s. Name the relations in "
            "prefetch_related, select them in items, or return the contexts of a batch from "
            "get_contexts().",
            *(self.fragment.name, f"{outcome.queries:,}", f"{instances:,}"),
            extra={"fragment": self.fragment.name},
        )
