"""Checks of how much a fragment is warmed for: the product of its axes and choices."""

from __future__ import annotations

import math
from typing import Any, Final

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from fragcache import axes, registry
from fragcache.checks.settings import has_usable_settings
from fragcache.declarations import Fragment
from fragcache.warming.extents import Extent, factors_of

#: More entries than this for each item are hardly meant.
MOST_EACH: Final = 100


def check_extent(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of fragments that are warmed too many times for each item, or for no host at all."""
    if not has_usable_settings():
        return []
    messages: list[CheckMessage] = []
    for fragment in registry.all_fragments():
        factors = _factors(fragment)
        each = math.prod(factors.values())
        if each > MOST_EACH:
            messages.append(
                CheckWarning(
                    f"{fragment.name}: warm_fragments makes {each:,} entries for each item: "
                    f"{Extent(items=1, has_items=False, factors=factors)}.",
                    hint="Refuse an axis (vary_on=['-time_zone']), offer fewer choices, or let it "
                    "be made on demand: leave out items.",
                    id="fragcache.W012",
                )
            )
        if factors.get(axes.Host.name) == 0:
            messages.append(
                CheckWarning(
                    f"{fragment.name}: warm_fragments makes nothing, since no host is known.",
                    hint="Name hosts in ALLOWED_HOSTS without wildcards, or list a subclass of "
                    "fragcache.axes.Host in FRAGCACHE['AXES'] whose values() returns them.",
                    id="fragcache.W013",
                )
            )
    return messages


def _factors(fragment: Fragment) -> dict[str, int]:
    """Return by how many values of what each item is multiplied; nothing where that is unknown."""
    try:
        return factors_of(fragment) if fragment.is_warmable else {}
    except Exception:  # noqa: BLE001 - the site's own code, or tables that are not there yet
        return {}
