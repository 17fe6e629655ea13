"""How often progress is drawn."""

from __future__ import annotations

import sys


def often() -> float:
    """Return the seconds between two drawings: fewer lines where they are kept."""
    return 0.5 if sys.stderr.isatty() else 20
