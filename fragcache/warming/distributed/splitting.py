"""Splitting: a plan as batches that JSON can describe, listed in flat memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.db.models import QuerySet

from fragcache import axes, items, packing
from fragcache.declarations import Fragment, is_rows
from fragcache.digests import digest_of
from fragcache.exceptions import FragcacheError, NotPackable
from fragcache.warming.parts import Arguments, KeyRange, Keys, Part, packed, unpacked
from fragcache.warming.plan import Plan

_REMEDY: Final = "Warm it without --enqueue, and enqueue the others with --exclude {name}."


class CannotEnqueue(FragcacheError):
    """What a worker would have to be told of cannot be written as JSON."""


def descriptions(fragment: Fragment, plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield what each batch of a fragment is about, for ``restored`` to read.

    One for each part of the items and each combination of axis values; all choices go together.

    Raises:
        CannotEnqueue: an item or a value of an axis has no form in JSON.
        Whatever the site's code does.
    """
    digest = digest_of(fragment)
    chosen = {name: values for name, values in plan.axis_values.items() if name in fragment.axes}
    texts = [axis_texts(values) for values in axes.combinations(fragment.axes, chosen)]
    for part in _parts(fragment, plan):
        told = packed(part)
        if not isinstance(part, Arguments) and not _is_read_back(fragment, part, told):
            raise _refusal(fragment, f"its primary keys, such as {told!r}, are")
        for values in texts:
            yield {"axis_values": values, **told, "digest": digest}


def restored(
    fragment: Fragment, description: Mapping[str, Any]
) -> tuple[Part, dict[str, list[Any]]]:
    """Return the part and the axis values of a batch.

    Raises:
        InvalidArguments: a key is none of the fragment's model.
        ValueError: a text is no value of its axis.
    """
    texts = description["axis_values"].items()
    values = {name: [axes.get(name).from_text(text)] for name, text in texts}
    return unpacked(fragment, description), values


def axis_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return axis values as texts that the axes read back.

    Raises:
        CannotEnqueue: one does not.
    """
    texts = {}
    for name, value in values.items():
        axis = axes.get(name)
        texts[name] = text = axis.to_text(value)
        try:
            is_same = axis.from_text(text) == value
        except ValueError:
            is_same = False
        if not is_same:
            raise CannotEnqueue(
                f"The axis {name!r} does not read {value!r} back from the text {text!r}, by which "
                "workers are told of it: give it to_text() and from_text()."
            )
    return texts


def _parts(fragment: Fragment, plan: Plan) -> Iterator[Part]:
    found = fragment.get_items()
    if found is None:
        yield KeyRange()
    elif not is_rows(found):
        yield from _listed(fragment, found, plan)
    elif plan.only is not None or items.is_fixed(found):
        keys = map(fragment.parameters.primary_key, plan.only) if plan.only is not None else None
        wanted = items.restricted(found, keys) if keys is not None else found
        pks = dict.fromkeys(wanted.values_list("pk", flat=True))
        yield from map(Keys, _chunks(pks, plan.batch_size))
    else:
        yield from _ranges(found, plan.batch_size)


def _ranges(rows: QuerySet[Any], size: int) -> Iterator[KeyRange]:
    """Yield ranges of ``size`` rows, which together have no bounds."""
    ordered = rows.order_by("pk").values_list("pk", flat=True)
    after = None
    while True:
        rest = ordered if after is None else ordered.filter(pk__gt=after)
        last = list(rest[size - 1 : size + 1])  # of this range, and the first one of the next
        if len(last) < 2:
            yield KeyRange(after, None)
            return
        yield KeyRange(after, last[0])
        after = last[0]


def _listed(fragment: Fragment, found: Iterable[Any], plan: Plan) -> Iterator[Arguments]:
    chosen = (item if isinstance(item, tuple) else (item,) for item in found)
    if plan.only is not None:
        only = set(plan.only)
        chosen = (item for item in chosen if str(getattr(item[0], "pk", item[0])) in only)
    lists = ([packed_value(fragment, value) for value in item] for item in chosen)
    yield from map(Arguments, _chunks(lists, plan.batch_size))


def packed_value(fragment: Fragment, value: Any) -> Any:
    """Return an argument as JSON takes it, a row by its model and key.

    Raises:
        CannotEnqueue: it has no such form.
    """
    try:
        if not (isinstance(value, str) and not _is_storable(value)):
            return packing.packed_value(value)
    except NotPackable:
        pass
    raise _refusal(fragment, f"{value!r}, an item or a part of one, is")


def _is_read_back(fragment: Fragment, part: Part, told: dict[str, Any]) -> bool:
    try:
        return unpacked(fragment, told) == part
    except (FragcacheError, ValueError):
        return False


def _is_storable(text: str) -> bool:
    """Whether every database takes it in JSON: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _chunks(values: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield lists of ``size``; one that is empty where there is nothing."""
    iterator = iter(values)
    yield list(itertools.islice(iterator, size))
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _refusal(fragment: Fragment, problem: str) -> CannotEnqueue:
    return CannotEnqueue(
        f"{fragment.name} cannot be enqueued: {problem} nothing that JSON can tell a worker. "
        f"{_REMEDY.format(name=fragment.name)}"
    )
