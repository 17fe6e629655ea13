"""Fragments whose renders are noted in a file, and do what the task says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from fragcache import fragment
from fragcache.bubbling import note_unstorable

#: What the process is to do; filled before it forks.
task: dict[str, Any] = {}


def _rendered(n: int) -> dict[str, Any]:
    if n == 0:  # what makes the process know the fragment
        return {"n": n}
    log = Path(task["log"])
    is_first = not log.exists()
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if is_first and (lease := task.get("evicted")):
        from fragcache.store import store

        store().delete_many([lease])
    time.sleep(task["render"])
    if task.get("is_unstorable"):
        note_unstorable()
    return {"n": str(n) * task.get("length", 1)}


@fragment("shop/number.html", name="herd.versioned", version=lambda n: 1)
def versioned(n: int) -> dict[str, Any]:
    return _rendered(n)


@fragment("shop/number.html", name="herd.headed")
def headed(n: int) -> dict[str, Any]:
    return _rendered(n)
