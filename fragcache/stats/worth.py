"""Worth: what readers would wait for without the cache, so that warming begins where it matters."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from fragcache.counters import Label
from fragcache.declarations import Fragment
from fragcache.stats.history import SPANS
from fragcache.stats.ledger import accounts

logger = logging.getLogger("fragcache.warm")


def worths() -> dict[Label, float]:
    """Return the seconds of rendering that readers asked for in the last day.

    By fragment and axis values, as keys have them; empty where nobody knows.
    """
    try:
        found = accounts(SPANS["24h"], by_axes=True)
    except Exception as error:  # noqa: BLE001 - no run fails for want of an order
        logger.debug("Nothing tells what is worth most: %s", error)
        return {}
    return {
        (account.fragment, account.axes): account.lookups * (account.render or 0.0)
        for account in found
        if account.lookups
    }


def most_worth_first(
    fragments: Sequence[Fragment], worths: Mapping[Label, float]
) -> list[Fragment]:
    """Return fragments in the order of what they are worth; those that nobody asked for, last."""
    sums: defaultdict[str, float] = defaultdict(float)
    for (name, _axes), worth in worths.items():
        sums[name] += worth
    return sorted(fragments, key=lambda fragment: -sums[fragment.name])
