"""Early expiry: what lives by time alone is renewed shortly before its end, by chance.

The more often it is shown and the dearer it is, the sooner; so that its end is no moment at which
all of its visitors miss it. XFetch: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
Stampede Prevention", VLDB 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from fragcache.bubbling import is_recording
from fragcache.chance import new_random
from fragcache.local import Kept
from fragcache.page import Page, now
from fragcache.reading import costs
from fragcache.reading.batch import Batch

#: Greater than 1: earlier.
BETA: Final = 1.0
_SECOND: Final = 1_000_000
_random: Final = new_random()


def about_to_end(batch: Batch, page: Page, copies: Sequence[Kept | None]) -> list[int]:
    """Return the positions of copies that are to be renewed although they are fresh."""
    fragment = batch.fragment
    is_spared = page.is_request and fragment.is_local and not fragment.is_versioned
    cost = costs.usual(fragment.name)
    if not is_spared or cost is None or is_recording():
        return []
    moment = now()
    # 1 - random() is never 0.
    return [
        position
        for position, copy in enumerate(copies)
        if copy is not None
        and moment < copy.fresh_until
        and moment - cost * BETA * _SECOND * math.log(1 - _random.random()) >= copy.fresh_until
    ]
