"""Renders of a batch: as a whole, and where that fails of each instance alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from django.db import OperationalError

from fragcache import slots
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.page import now
from fragcache.reading.counting import unvisited
from fragcache.rendering import Output, render_many
from fragcache.slots import Slot
from fragcache.warming.isolation import isolated
from fragcache.warming.queries import LEAST, Queries, counted

logger = logging.getLogger("fragcache.warm")

#: So many instances in a row that the database fails for are no fault of theirs.
_DATABASE_FAILURES: Final = 3


class Rendered(NamedTuple):
    """What a batch gave."""

    #: With their outputs; those that were deleted since the batch was listed are left out.
    slots: list[Slot]
    failed: int
    #: How many the contexts and templates made; 0 where that tells nothing of a batch.
    queries: int


def render(fragment: Fragment, due: Sequence[Slot], as_of: int | None = None) -> Rendered:
    """Render slots; what fails is logged with its arguments and traceback.

    ``as_of`` is when the items were read, where they are not read now.

    Raises:
        OperationalError: the database fails, whatever is asked of it.
    """
    rendered, failed = [], 0
    with counted() as queries, unvisited():
        for slot, output in _outputs(fragment, due, as_of, queries):
            if isinstance(output, Exception):
                failed += 1
                log_failure(fragment, slot.instance, output)
            elif output is not None:
                slot.output = output
                rendered.append(slot)
    return Rendered(rendered, failed, queries.number if len(due) >= LEAST else 0)


def log_failure(fragment: Fragment, instance: Instance, error: BaseException) -> None:
    """Log what went wrong with one instance."""
    given = ", ".join(map(repr, instance.arguments))
    logger.error(
        "%s(%s) failed: %s: %s",
        fragment.name,
        given,
        type(error).__name__,
        error,
        exc_info=error,
        extra={"fragment": fragment.name, "arguments": instance.arguments},
    )


def _outputs(
    fragment: Fragment, due: Sequence[Slot], as_of: int | None, queries: Queries
) -> Iterator[tuple[Slot, Output | Exception | None]]:
    if not due:
        return
    try:
        outputs: Sequence[Output | None] = _attempt(fragment, due, as_of)
    except Exception as error:  # noqa: BLE001 - whatever the site raises is reported
        if len(due) == 1:
            yield due[0], error
        else:
            yield from _one_by_one(fragment, due, as_of, queries)
            queries.number = 0  # each of them was read alone
    else:
        yield from zip(due, outputs, strict=True)


def _one_by_one(
    fragment: Fragment, due: Sequence[Slot], as_of: int | None, queries: Queries
) -> Iterator[tuple[Slot, Output | Exception | None]]:
    failures = 0
    for slot in due:
        [(_slot, output)] = _outputs(fragment, [slot], as_of, queries)
        failures = failures + 1 if isinstance(output, OperationalError) else 0
        if failures == _DATABASE_FAILURES:
            assert isinstance(output, OperationalError)
            raise output
        yield slot, output


def _attempt(fragment: Fragment, due: Sequence[Slot], as_of: int | None) -> list[Output | None]:
    for slot in due:
        if not fragment.is_versioned:
            slot.version = slots.unique_version(now() if as_of is None else as_of)
    arguments = [slot.instance.arguments for slot in due]
    versions_from = slots.versions_from(due)
    with isolated(fragment, versions_from):
        return render_many(fragment, arguments, fresh=True, versions_from=versions_from)
