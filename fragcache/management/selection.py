"""Which fragments the labels of a command name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fragcache import registry
from fragcache.declarations import Fragment
from fragcache.exceptions import InvalidArguments, UnknownFragment
from fragcache.suggestions import did_you_mean


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
    chosen = list(_named(labels, fragments)) if labels else fragments
    for fragment in chosen:
        if fragment.name in labels and not fragment.is_warmable:
            raise InvalidArguments(
                f"{fragment.name} cannot be warmed: it has no items, and parameters without "
                "choices or defaults."
            )
    left_out = set(_named(excluded, fragments))
    chosen = [f for f in chosen if f not in left_out and f.is_warmable]
    if not chosen:
        raise InvalidArguments("No fragment is left to warm: all are excluded, or none has items.")
    return chosen


def _named(labels: Sequence[str], fragments: Sequence[Fragment]) -> Iterable[Fragment]:
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
