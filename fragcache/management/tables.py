"""Tables of commands: a row is a dict, and the first one tells the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand


def write_table(command: BaseCommand, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows under their keys."""
    cells = [[str(key) for key in rows[0]]]
    cells += [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        style = command.style.MIGRATE_HEADING if number == 0 else str
        command.stdout.write("  ".join(padded).rstrip(), style_func=style)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={'|'.join(map(str, given))}" for name, given in value.items())
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None else str(value)


def ago(seconds: float) -> str:
    """Return how long ago something was, as "5 min ago"."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{seconds:.0f} s ago"
