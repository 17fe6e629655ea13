"""What the arguments of a command name: fragments, axis values and items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings

from fragcache import axes, registry
from fragcache.declarations import Fragment
from fragcache.exceptions import InvalidArguments, UnknownFragment
from fragcache.management.arguments import check_encoding
from fragcache.suggestions import did_you_mean
from fragcache.warming.batches import batches
from fragcache.warming.plan import BATCH_SIZE


def selected(labels: Sequence[str], excluded: Sequence[str] = ()) -> list[Fragment]:
    """Return the warmable fragments of apps or names, all without labels.

    Raises:
        UnknownFragment: a label names nothing, or nothing is declared.
        InvalidArguments: a fragment that is named cannot be warmed, or nothing is left.
    """
    fragments = registry.all_fragments()
    if not fragments:
        raise UnknownFragment(
            "No fragments are declared: add a fragments.py with @fragment to an installed app."
        )
    chosen = list(named(labels, fragments)) if labels else fragments
    for fragment in chosen:
        if fragment.name in labels and not fragment.is_warmable:
            raise InvalidArguments(
                f"{fragment.name} cannot be warmed: it has no items, and parameters without "
                "choices or defaults."
            )
    left_out = set(named(excluded, fragments))
    chosen = [f for f in chosen if f not in left_out and f.is_warmable]
    if not chosen:
        raise InvalidArguments("No fragment is left to warm: all are excluded, or none has items.")
    return chosen


def named(labels: Sequence[str], fragments: Sequence[Fragment]) -> Iterable[Fragment]:
    """Return the fragments of apps or names, each once.

    Raises:
        UnknownFragment: a label names nothing, with the nearest known name.
    """
    found: dict[str, Fragment] = {}
    for label in labels:
        matching = [f for f in fragments if f.name == label or f.name.startswith(f"{label}.")]
        if not matching:
            known = {name for f in fragments for name in (f.name, f.name.partition(".")[0])}
            raise UnknownFragment(
                f"No fragment and no app with fragments is called {label!r}."
                f"{did_you_mean(label, known)} `manage.py fragments list` shows them."
            )
        found |= {fragment.name: fragment for fragment in matching}
    return found.values()


def axis_values_of(given: Sequence[str], fragments: Sequence[Fragment]) -> dict[str, list[Any]]:
    """Return ``NAME=VALUE`` pairs as axis values.

    Raises:
        UnknownAxis: there is no axis of that name.
        InvalidArguments: it is no pair, no value of the axis, or an axis of no fragment.
    """
    chosen: dict[str, list[Any]] = {}
    for pair in given:
        name, _separator, text = pair.partition("=")
        if not text:
            raise InvalidArguments(f"--axis {pair!r}: write NAME=VALUE, as in language=de.")
        axis = axes.get(name)
        if not any(name in fragment.axes for fragment in fragments):
            raise InvalidArguments(f"--axis {pair!r}: none of the chosen fragments varies on it.")
        try:
            chosen.setdefault(name, []).append(axis.from_text(text))
        except ValueError as error:
            raise InvalidArguments(f"--axis {pair!r}: {error}.") from error
    return chosen


def check_alias(alias: str | None) -> None:
    """Check that a cache alias, if any is named, is one.

    Raises:
        InvalidArguments: with the nearest known one.
    """
    if alias is not None and alias not in settings.CACHES:
        raise InvalidArguments(
            f"--using: {alias!r} is not an alias of CACHES.{did_you_mean(alias, settings.CACHES)}"
        )


def check_items(fragments: Sequence[Fragment], items: Sequence[str]) -> None:
    """Check that ``items`` are those of the one fragment that is chosen.

    Raises:
        InvalidArguments: there are several fragments, or it has no such items.
    """
    if len(fragments) != 1:
        raise InvalidArguments(
            "--items needs exactly one fragment, whose items they are; its name stands first: "
            "NAME --items PK ..."
        )
    [fragment] = fragments
    if fragment.items is None:
        raise InvalidArguments(f"--items: {fragment.name} has none.")
    check_encoding(items)
    parameters = fragment.parameters
    found = {
        str(parameters.canonical(instance.arguments)[0])
        for batch in batches(fragment, BATCH_SIZE, items)
        for instance, _version in batch
        if instance.arguments
    }
    has_keys = fragment.item_model is not None
    unknown = [
        item
        for item in items
        if str(parameters.primary_key(item) if has_keys else item) not in found
    ]
    if unknown:
        raise InvalidArguments(f"{', '.join(unknown)} is not among the items of {fragment.name}.")
