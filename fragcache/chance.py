"""Chance that is this process's alone: no site seeds it, and no fork copies it.

Workers that are forked of a site that is loaded would else all wait equally long, and meet.
"""

from __future__ import annotations

import os
import random


def new_random() -> random.Random:
    """Return a source of chance that begins anew in a forked child; it is no secret."""
    made = random.Random()  # noqa: S311
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=made.seed)
    return made
