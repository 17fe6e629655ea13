"""A process of the shop that forks one run after the other, each of which may kill itself.

``python -m tests.stem`` reads one JSON document a line, does it in a child of its own, and prints
what became of it. Django is set up once, and a child begins with no connection.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import socket
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import django

PACKAGE = str(Path(__file__).resolve().parents[1] / "fragcache")
#: What talks to a server or a file: a step before and a step after each call.
TALKERS = (socket.socket, sqlite3.Connection, sqlite3.Cursor)


class Steps:
    """Counts calls within fragcache and of sockets, in this thread; at ``last`` it kills."""

    def __init__(self, last: int | None) -> None:
        self.count = 0
        self._last = last

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            is_step = frame.f_code.co_filename.startswith(PACKAGE)
        else:
            is_step = event != "return" and isinstance(getattr(called, "__self__", None), TALKERS)
        if is_step:
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def warmed(arguments: list[str], last: int | None) -> dict[str, Any]:
    """Run ``warm_fragments``; kill this process at its step ``last``."""
    from django.core.management import CommandError, call_command

    out, err = io.StringIO(), io.StringIO()
    steps = Steps(last)
    code, said = 0, ""
    sys.setprofile(steps)
    try:
        call_command("warm_fragments", *arguments, "--json", stdout=out, stderr=err)
    except CommandError as error:
        code, said = error.returncode, str(error)
    finally:
        sys.setprofile(None)
    return {
        "code": code,
        "steps": steps.count,
        "err": err.getvalue() + said,
        "document": json.loads(out.getvalue() or "{}"),
    }


def inspected() -> dict[str, Any]:
    """Say what another process finds in the cache, and what it shows of it."""
    from fragcache import axes, get_fragments, registry
    from fragcache.digests import digest_of
    from fragcache.entry import Kind
    from fragcache.keys import base_key, encode_axes, entry_key, head_key
    from fragcache.records import Head
    from fragcache.store import store
    from fragcache.warming.locks import holder_of
    from tests.shop import NUMBERS

    cache, fragment = store(), registry.get("shop.offer")
    (values,) = axes.combinations(fragment.axes, {})
    bases = [
        base_key(fragment.name, fragment.parameters.instance((n,), {}).encoded, encode_axes(values))
        for n in range(NUMBERS)
    ]
    stored = cache.fetch_many(head_key(base, digest_of(fragment), cache.room) for base in bases)
    heads = cache.open_many(stored)
    named = {
        entry_key(base, Head.unpack(heads[key].payload).suffix, cache.room)
        for base in bases
        if (key := head_key(base, digest_of(fragment), cache.room)) in heads
    }
    found = cache.fetch_many(named)
    entries = cache.open_many(found)
    return {
        "heads": len(stored),
        "torn": len(stored) - len(heads) + len(found) - len(entries),
        "absent": len(named) - len(found),
        "no entries": sum(entry.kind != Kind.HTML for entry in entries.values()),
        "shown": [str(html).strip() for html in get_fragments("shop.offer", range(NUMBERS))],
        "is locked": holder_of(cache) is not None,
    }


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a child returns, or the number of the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
        except BaseException:  # noqa: BLE001 - the parent must go on
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return json.loads(said) if said else {"error": status}


def do(task: dict[str, Any]) -> dict[str, Any]:
    from django.conf import settings

    settings.CACHES["fragments"]["KEY_PREFIX"] = task["prefix"]
    settings.FRAGCACHE.update(task["settings"])
    os.environ["SHOP_LOG"] = task["log"]
    Path(task["log"]).with_suffix(".pid").write_text(str(os.getpid()))
    if task["do"] == "inspect":
        return inspected()
    return warmed(task["arguments"], task["last"])


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    django.setup()
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(in_child(lambda task=task: do(task))), flush=True)  # type: ignore[misc]


if __name__ == "__main__":
    main()
