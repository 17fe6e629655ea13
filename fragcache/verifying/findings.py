"""Findings: what is wrong with an instance or a key, as people read it."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from fragcache.declarations import Fragment

#: Lines of a diff, and characters of a line, that are worth reading.
MOST_LINES: Final = 40
MOST_CHARACTERS: Final = 200
#: Characters before the first difference of two long lines.
_LEAD: Final = 40


class Kind(StrEnum):
    """What a finding is about."""

    #: What is stored as current is not what a render gives now.
    WRONG = "wrong"
    #: The same where it, or what it shows, has no version, and may be older than the data.
    OUTDATED = "outdated"
    #: Renders in a row differ.
    NOT_DETERMINISTIC = "not deterministic"
    #: What is not in the key changes the output.
    TOO_NARROW = "too narrow"
    #: What is in the key changes no output.
    TOO_WIDE = "too wide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found."""

    kind: Kind
    fragment: str
    #: The instance as a call, and its axis values; empty where it is about all of them.
    instance: str = ""
    axes: str = ""
    #: The physical key of the entry.
    key: str = ""
    #: What was found, and what to do about it.
    about: str
    remedy: str
    diff: str = ""

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def call_of(fragment: Fragment, arguments: tuple[Any, ...]) -> str:
    """Return an instance as a call: ``blog.post_card(3, 'row')``."""
    return f"{fragment.name}({', '.join(map(repr, arguments))})"


def axes_text(values: Mapping[str, Any]) -> str:
    """Return axis values as they are said: ``language=de, time_zone=UTC``."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def difference(former: str, latter: str, former_name: str, latter_name: str) -> str:
    """Return a unified diff of two HTML texts, with each element's markup on a line of its own.

    It is cut where it grows too long to be read, and holds no control characters.
    """
    before, after = _lines(former), _lines(latter)
    if before == after:  # they differ in their line ends alone
        before, after = [[repr(part) for part in t.splitlines(True)] for t in (former, latter)]
    lines = list(difflib.unified_diff(before, after, former_name, latter_name, n=1, lineterm=""))
    shown = _shortened(lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        shown.append(f"... {len(lines) - MOST_LINES:,} lines more")
    return "\n".join(map(_printable, shown))


def _lines(html: str) -> list[str]:
    return re.sub(r"(?<=>)(?=<)", "\n", html).splitlines()


def _shortened(lines: list[str]) -> list[str]:
    """Cut long lines; of two that replace each other, around the first difference."""
    shown = []
    starts = [0] * len(lines)
    for number, (line, following) in enumerate(itertools.pairwise(lines)):
        if line[:1] == "-" and following[:1] == "+" and number > 1:
            same = _common(line[1:], following[1:])
            starts[number] = starts[number + 1] = max(0, same - _LEAD)
    for line, start in zip(lines, starts, strict=True):
        sign, text = line[:1], line[1:]
        if len(text) <= MOST_CHARACTERS:
            shown.append(line)
            continue
        part = text[start : start + MOST_CHARACTERS]
        end = "..." if start + MOST_CHARACTERS < len(text) else ""
        shown.append(f"{sign}{'...' if start else ''}{part}{end}")
    return shown


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _printable(line: str) -> str:
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "surrogatepass").decode()
        for c in line
    )
