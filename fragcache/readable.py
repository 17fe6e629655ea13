"""Readable: figures and values as people say them."""

from __future__ import annotations


def time_text(seconds: float | None) -> str:
    """Return seconds: "1.2 ms", "3 min"; "" for None."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"


def size_text(number_of_bytes: int) -> str:
    """Return a size: "731 B", "1.2 kB"."""
    if number_of_bytes < 1_000:
        return f"{number_of_bytes} B"
    size = number_of_bytes / 1_000
    return f"{size:.1f} kB" if size < 1_000 else f"{size / 1_000:.1f} MB"


def repr_text(value: object) -> str:
    """Return a value's repr; the name of its type where the site's code fails at that."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - what is said for readers must not fail pages
        return f"<{type(value).__name__}>"
