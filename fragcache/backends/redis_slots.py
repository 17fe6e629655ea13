"""Which slot of a Redis Cluster a key lies in, and how the copies of one value lie in several.

1:fc1:courses.course_card#1{412}
  |                      |   |
  key                    |   hash tag, which alone decides on the slot
                         copy
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache
from itertools import count
from typing import Final

SLOTS: Final = 16_384
#: The copies of a value lie a third of all slots apart, so that wherever primaries have equal
#: ranges of slots, as redis-cli makes them, no two copies lie on one.
COPIES: Final = 3
#: Places in each third: enough that many fragments spread evenly.
_PLACES: Final = 64


def wire_name(key: str) -> bytes:
    """Return what the cluster knows a physical key as."""
    name = key.encode()
    if name[-2:-1] != b"#" or not name[-1:].isdigit():
        return name
    third, place = divmod(crc_hqx(name[:-2], 0) % (COPIES * _PLACES), _PLACES)
    copy = name[-1] - ord("0")
    return b"%b{%d}" % (name, _tags()[(third + copy) % COPIES * _PLACES + place])


def slot_of(name: bytes) -> int:
    """Return the slot of a key, as the specification of Redis Cluster says."""
    start = name.find(b"{") + 1
    if start:
        end = name.find(b"}", start)
        if end > start:
            name = name[start:end]
    return crc_hqx(name, 0) % SLOTS


@cache
def _tags() -> list[int]:
    """Return a number for each place, the first whose digits hash to a slot there."""
    places = COPIES * _PLACES
    found: dict[int, int] = {}
    for number in count():
        found.setdefault(slot_of(b"%d" % number) * places // SLOTS, number)
        if len(found) == places:
            break
    return [found[place] for place in range(places)]
