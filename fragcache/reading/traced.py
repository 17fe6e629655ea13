"""Reading that is told to ``fragcache.tracing``: what becomes of each instance of a call."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.safestring import SafeString

from fragcache.page import Page, now
from fragcache.positions import asking_position
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.pipeline import read
from fragcache.reading.result import Lookup
from fragcache.slots import Slot
from fragcache.tracing import Call, Outcome, Render, Shown, recording


def read_traced(batch: Batch, page: Page, *, storable: bool = True) -> list[SafeString | None]:
    """Return what ``read`` returns, within a span that says what became of it."""
    call = Call(
        fragment=batch.fragment.name,
        axes=dict(batch.axis_values),
        position=asking_position(),
    )
    seen: list[tuple[Lookup, Mapping[int, str]]] = []

    def tell(lookup: Lookup, spent: int) -> None:
        call.lookup = spent
        # What is counted next takes the reasons of groups.
        seen.append((lookup, groups.reasons(batch, lookup, page)))

    with recording.span(call):
        html = read(batch, page, storable=storable, tell=tell)
        for lookup, reasons in seen:
            call.shown = _Told(call, batch, lookup, reasons, page).shown()
        if not seen:
            call.shown = _unasked(call, batch, html)
    return html


class _Told:
    """What a lookup says of each position, when what was due is there."""

    def __init__(
        self, call: Call, batch: Batch, lookup: Lookup, reasons: Mapping[int, str], page: Page
    ) -> None:
        self._batch, self._lookup, self._reasons = batch, lookup, reasons
        self._moment = now()
        self._renders = _renders_in(call)
        kept = page.memory(batch.cache.space).entries.values()
        #: The copies that the page has fetched, which the process keeps as well.
        self._fetched = {id(copy) for copy in kept if copy is not None}
        hits = sum(self._is_hit(position) for position in range(len(lookup.html)))
        self._are_local = lookup.local >= hits

    def shown(self) -> list[Shown]:
        return [self._one(position) for position in range(len(self._lookup.html))]

    def _one(self, position: int) -> Shown:
        html = self._lookup.html[position]
        slot = self._lookup.due.get(position)
        encoded = self._batch.arguments[position]
        arguments = _text(self._batch, position)
        size = len((html or "").encode("utf-8", "surrogatepass"))
        if slot is not None:
            return self._due(slot, arguments, size, is_there=html is not None)
        if html is None:
            return Shown(arguments, Outcome.NOTHING, self._lookup.reasons.get(position, ""))
        if reason := self._reasons.get(position):
            render = self._renders.get(encoded) or recording.render_of(
                self._batch.fragment.name, encoded
            )
            return Shown(arguments, Outcome.RENDERED, reason, None, size, True, render)
        age = self._age(position)
        if position in self._lookup.stale:
            reason = self._lookup.reasons.get(position, "")
            return Shown(arguments, Outcome.STALE, reason, age, size)
        outcome = Outcome.HIT_LOCAL if self._is_local(position) else Outcome.HIT_CACHE
        return Shown(arguments, outcome, "", age, size)

    def _due(self, slot: Slot, arguments: str, size: int, *, is_there: bool) -> Shown:
        """Return what became of an instance that was missing."""
        if not is_there:
            return Shown(arguments, Outcome.NOTHING, slot.why)
        if slot.former_built_at is not None:
            age = max(0, self._moment - slot.former_built_at)
            return Shown(arguments, Outcome.STALE, slot.why, age, size)
        name, encoded = self._batch.fragment.name, slot.instance.encoded
        if slot.output is not None:
            render = self._renders.get(encoded)
            return Shown(arguments, Outcome.RENDERED, slot.why, None, size, slot.is_stored, render)
        if (render := recording.render_of(name, encoded)) is not None:  # with its group
            return Shown(arguments, Outcome.RENDERED, slot.why, None, size, None, render)
        return Shown(arguments, Outcome.AWAITED, slot.why, None, size)

    def _is_hit(self, position: int) -> bool:
        lookup = self._lookup
        return (
            lookup.html[position] is not None
            and position not in lookup.due
            and position not in lookup.stale
        )

    def _is_local(self, position: int) -> bool:
        return self._are_local or bool(
            self._lookup.local and id(self._lookup.copies[position]) not in self._fetched
        )

    def _age(self, position: int) -> int | None:
        copies = self._lookup.copies
        copy = copies[position] if copies else None
        return None if copy is None else max(0, self._moment - copy.built_at)


def _unasked(call: Call, batch: Batch, html: list[SafeString | None]) -> list[Shown]:
    """Return what became of instances that were rendered without looking for them."""
    renders = _renders_in(call)
    return [
        Shown(_text(batch, position), Outcome.NOTHING)
        if text is None
        else Shown(
            _text(batch, position),
            Outcome.RENDERED,
            size=len(text.encode("utf-8", "surrogatepass")),
            is_stored=False,
            render=renders.get(batch.arguments[position]),
        )
        for position, text in enumerate(html)
    ]


def _renders_in(call: Call) -> dict[str, Render]:
    return {one.encoded: one for one in call.children if isinstance(one, Render)}


def _text(batch: Batch, position: int) -> str:
    return batch.fragment.parameters.text(batch.instance(position).arguments)
