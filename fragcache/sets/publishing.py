"""Publishing a set: its members one by one, seen by nobody, then all of them at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from fragcache import axes, manifest, page, registry, rendering, slots, transactions
from fragcache.arguments import as_item
from fragcache.contexts.forms import forms_of
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import (
    CacheUnavailable,
    InvalidArguments,
    SetIncomplete,
    TransactionOpen,
    Unpublishable,
)
from fragcache.keys import set_key
from fragcache.page import now
from fragcache.reading.batch import Batch
from fragcache.reading.resolving import Reference
from fragcache.sets.records import (
    Generation,
    Shown,
    add_name,
    check_name,
    list_keys,
    read_members,
    read_shown,
    write_members,
)
from fragcache.sets.turns import turn
from fragcache.slots import SUPERSEDED_LIFE, Slot
from fragcache.store import Store, store
from fragcache.warming.due import ranked

logger = logging.getLogger("fragcache")

#: Seconds that the generation before is kept, to be rolled back to.
ROLLBACK_SECONDS: Final = 3_600
#: Seconds that members live which nobody shows yet: those of a publisher that was killed.
UNFINISHED_SECONDS: Final = 3_600
#: Instances that are rendered at a time.
_SIZE: Final = 200


@contextmanager
def publish_set(
    name: str, *, using: str | None = None, rollback_within: float = ROLLBACK_SECONDS
) -> Iterator[NewSet]:
    """Publish instances that become visible together, when the block ends; none if it raises.

    Only where the cache does not answer at that very moment it is unknown what it shows: all of
    them, or what it did before.

    For ``rollback_within`` seconds after the next time ``rollback_set`` can show them again.
    ``using`` names another cache alias.

    Raises:
        InvalidArguments: it is no name of a set, or the block has published nothing.
        SetIncomplete: members have gone meanwhile: the cache is too small.
        CacheUnavailable: the cache does not answer, or refuses a member.
        ReadOnly: this site only reads.
        TransactionOpen: what they show may be rolled back.
    """
    check_name(name)
    new = NewSet(name, store(using), rollback_within)
    new.check_may_publish()
    try:
        yield new
        new.show()
    except BaseException:
        new.give_up()
        raise


class NewSet:
    """A set that is being made."""

    def __init__(self, name: str, cache: Store, rollback_within: float) -> None:
        self.name = name
        #: Whether it is shown; not where one is that was begun later.
        self.is_shown = False
        self._cache = cache
        self._rollback_within = max(rollback_within, SUPERSEDED_LIFE)
        # Before any data is read: of two publishers the one that began later has the newer data.
        self._version = slots.unique_version(now())
        #: Whether the cache was told to show it; its answer may have been lost.
        self._may_be_shown = False
        #: The keys of members, by the seconds that they will live.
        self._members: dict[float | None, dict[str, None]] = {}
        self._fragments: dict[str, dict[str, str]] = {}

    def publish(self, f: Reference, *args: Any, **kwargs: Any) -> None:
        """Add one instance, for all values of its axes that runs warm.

        Raises:
            As ``publish_many``.
        """
        self.publish_many(f, [as_item(args)], **kwargs)

    def publish_many(self, f: Reference, items: Iterable[Any], **kwargs: Any) -> None:
        """Add instances of one fragment: its context, its HTML or both, as it is declared.

        Raises:
            UnknownFragment: no fragment of that name is declared here.
            InvalidArguments, NoIdentity: the items name no instances.
            FragmentMissing: no item has that key.
            Unpublishable, SnapshotTooLarge: a context holds what cannot be published.
            CacheUnavailable: the cache does not answer, or refuses a member.
            TransactionOpen: what they show may be rolled back.
        """
        fragment = registry.get(f)
        if fragment.is_remote:
            raise InvalidArguments(f"{fragment.name} is another site's: publish the set there.")
        if fragment.using not in {None, self._cache.alias}:
            raise InvalidArguments(
                f"{fragment.name} is kept in another cache than {self._cache.alias!r}, that of "
                f"the set {self.name!r}: a page could not see both change at once."
            )
        self.check_may_publish()
        wanted = list(items)
        for values in axes.combinations(fragment.axes):
            with axes.activated(values):
                for start in range(0, len(wanted), _SIZE):
                    for form in forms_of(fragment):
                        self._add(form, wanted[start : start + _SIZE], kwargs)
        manifest.ensure(self._cache, fragment)

    def check_may_publish(self) -> None:
        """See that this site may publish here and now.

        Raises:
            ReadOnly, TransactionOpen: it may not.
        """
        self._cache.check_writable()
        if not transactions.is_committed(page.current()):
            raise TransactionOpen(
                f"The set {self.name!r} is not published inside of a transaction: what it has "
                "written may be rolled back. Publish it after its end, as by "
                "transaction.on_commit()."
            )

    def show(self) -> None:
        """Let all members be visible in place of those that are.

        Raises:
            As ``publish_set``.
        """
        if not self._members:
            raise InvalidArguments(f"The set {self.name!r} has no members: publish some.")
        cache, keys = self._cache, [key for keys in self._members.values() for key in keys]
        self._see_that_all_are_there()
        write_members(cache, self.name, self._version.encoded, keys, self._longest_life)
        with turn(cache, self.name):
            before = read_shown(cache, self.name)
            record = {set_key(self.name, cache.room): self._shown(before)}
            self._may_be_shown = True
            # A client that asks twice may be told that what it has written itself stands there.
            self.is_shown = not cache.advance_many(record, None) or self._is_current()
            if self.is_shown:
                self._tidy_up(before)
                return
        self._may_be_shown = False
        logger.warning(
            "The set %s is not shown: one that was begun later is, or this clock is behind.",
            self.name,
        )
        self.give_up()

    def give_up(self) -> None:
        """Delete what nobody has seen, nor can see."""
        if self._may_be_shown:
            return
        keys = [key for keys in self._members.values() for key in keys]
        keys += list_keys(self._cache, self.name, self._version.encoded, len(keys))
        self._members = {}
        try:
            if keys:
                self._cache.delete_many(keys)
        except CacheUnavailable:
            logger.warning("Members of the set %s, not shown, end by themselves.", self.name)

    @property
    def _lives(self) -> list[float]:
        return [life for life in self._members if life is not None]

    @property
    def _longest_life(self) -> float | None:
        return None if None in self._members else max(self._lives)

    def _add(self, form: Fragment, items: Sequence[Any], kwargs: dict[str, Any]) -> None:
        cache = self._cache
        batch = Batch.of(form, cache, items, kwargs, None)
        found = {batch.base(n): batch.slot(n, self._version) for n in range(len(items))}
        new = list(found.values())
        ranked(form, cache, new, force=True, dry=False)  # tokens, before the data
        self._render(form, new)
        written = slots.write_entries(cache, form, new, UNFINISHED_SECONDS)
        self._members.setdefault(form.life, {}).update(dict.fromkeys(written.confirmed))
        for reason in written.refused.values():
            raise CacheUnavailable(
                f"alias {cache.alias!r} refused a member of the set {self.name!r}, of "
                f"{form.name}: {reason.removesuffix('.')}.",
                is_refusal=True,
            )
        digests = self._fragments.setdefault(form.name, {})
        digests[chr(form.entry_kind)] = digest_of(form)

    def _render(self, form: Fragment, new: Sequence[Slot]) -> None:
        arguments = [slot.instance.arguments for slot in new]
        for slot, output in zip(
            new, rendering.render_many(form, arguments, fresh=True), strict=True
        ):
            if output is None:
                raise rendering.missing(form, slot.instance.arguments)
            if output.payload is None:
                raise Unpublishable(
                    f"{form.name} may not be kept, for what the log says: it shows what is not "
                    "to be stored."
                )
            slot.output = output

    def _see_that_all_are_there(self) -> None:
        gone: set[str] = set()
        for life, keys in self._members.items():
            gone |= self._cache.touch_many(keys, life)
        if gone:
            number = sum(map(len, self._members.values()))
            raise SetIncomplete(
                f"{len(gone):,} of {number:,} members of the set {self.name!r} have gone before "
                "the last was written, and it is not shown: the cache is too small for it, or "
                "publishing took longer than an hour."
            )

    def _shown(self, before: Shown | None) -> Any:
        generation = Generation(
            name=self._version.encoded,
            fragments=self._fragments,
            members=sum(map(len, self._members.values())),
            shown_at=now(),
            life=min(self._lives, default=None),
        )
        return Shown(
            current=generation,
            former=None if before is None else before.current,
            is_rolled_back=False,
            as_of=self._version.as_of,
        ).pack()

    def _is_current(self) -> bool:
        there = read_shown(self._cache, self.name)
        return there is not None and there.current.name == self._version.encoded

    def _tidy_up(self, before: Shown | None) -> None:
        """Do what is left to do once it is shown, whether or not that works."""
        try:
            add_name(self._cache, self.name)
            if before is not None:
                self._let_end(before)
        except CacheUnavailable as error:
            logger.warning(
                "The set %s is shown; its name may not be listed yet, and the one before it lives "
                "longer: %s",
                *(self.name, error),
            )

    def _let_end(self, before: Shown) -> None:
        """Bound the lives of the generations before: one can be rolled back to, others cannot."""
        lives = {self._rollback_within: before.current, SUPERSEDED_LIFE: before.former}
        for seconds, generation in lives.items():
            if generation is not None:
                members = read_members(self._cache, self.name, generation)
                self._cache.touch_many(members or [], seconds)
