"""``python -m tests.herd`` reads one task a line, as JSON, and prints what became of it.

Each task is done by a child of its own, whose children are the visitors. Django is set up once.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from tests.load import Load
from tests.stem import in_child


def visited(ready: int, go: int, threads: int) -> dict[str, Any]:
    """Read the fragment in so many threads when ``go`` is closed; return what they got."""
    from fragcache import counters, get_fragment
    from fragcache.store import store
    from tests.herd.fragments import task

    start = threading.Barrier(threads)
    answers: list[dict[str, Any]] = []
    workers = [threading.Thread(target=visit, args=(start, answers)) for _ in range(threads - 1)]
    for worker in workers:
        worker.start()
    get_fragment(task["fragment"], 0)
    store().read_many(["fc1!none"])  # it is connected: that instance is known to the process
    counters.reset()
    os.write(ready, b".")
    os.read(go, 1)
    visit(start, answers)
    for worker in workers:
        worker.join(task["cap"])
    counted = {event.value: times for (name, event), times in counters.totals().items() if name}
    return {"answers": answers, "counted": counted}


def visit(start: threading.Barrier, answers: list[dict[str, Any]]) -> None:
    from fragcache import get_fragment, page
    from tests.herd.fragments import task

    start.wait()
    began = time.monotonic()
    with page.entered(page.of_request()):
        html = str(get_fragment(task["fragment"], 1)).strip()
    seconds = time.monotonic() - began
    answers.append({"seconds": seconds, "html": html[:20], "length": len(html)})


def stampede() -> dict[str, Any]:
    """Let all visitors loose; kill the first renderer, if the task says so."""
    from django.core.cache import caches

    from fragcache import counters, get_fragment, registry, tokens
    from fragcache.reading import costs
    from fragcache.slots import token_names
    from fragcache.store import store
    from tests.herd.fragments import task

    get_fragment(task["fragment"], 0)
    if task["knows_tokens"]:  # as a process that has shown the instance before
        fragment = registry.get(task["fragment"])
        encoded = fragment.parameters.instance((1,), {}).encoded
        tokens.read(store(), token_names(fragment, encoded))
    costs.forget()
    if task["usual"]:
        costs.note(task["fragment"], [int(1_000_000 * task["usual"])], are_storable=True)
    if task.get("is_evicted"):
        task["evicted"] = lease()
    counters.reset()
    caches.close_all()
    load = Load()
    ready_end, ready = os.pipe()
    go_end, go = os.pipe()
    leave_end, leave = os.pipe()
    children = [
        forked(lambda n=n: visited(ready, go_end, n), (ready_end, go, leave), leave_end)
        for n in task["threads"]
    ]
    os.close(ready)
    for _child in children:
        os.read(ready_end, 1)
    os.close(go)
    killed = kill_renderer() if task["kill_after"] is not None else None
    visitors = [answer_of(*child) for child in children]
    os.close(leave)
    for child, _reading in children:
        os.waitpid(child, 0)
    others = load.of_others()
    return {
        "visitors": visitors,
        "renders": [int(pid) for pid in log_lines()],
        "killed": killed,
        "leases": len(read_lease()),
        "others": others,
    }


def lease() -> str:
    from fragcache import registry
    from fragcache.axes import current_values
    from fragcache.digests import digest_of
    from fragcache.keys import base_key, encode_axes, lease_key, suffix
    from fragcache.store import store
    from tests.herd.fragments import task

    fragment = registry.get(task["fragment"])
    digest = digest_of(fragment)
    axes = encode_axes(current_values(fragment.axes, None))
    base = base_key(fragment.name, fragment.parameters.instance((1,), {}).encoded, axes)
    state = suffix("1", digest) if fragment.is_versioned else digest
    return lease_key(base, state, store().room)


def read_lease() -> dict[str, Any]:
    from fragcache.store import store

    return dict(store().read_many([lease()]))


def log_lines() -> list[str]:
    from tests.herd.fragments import task

    log = Path(task["log"])
    return log.read_text().split() if log.exists() else []


def kill_renderer() -> int:
    from tests.herd.fragments import task

    deadline = time.monotonic() + task["cap"]
    while not (lines := log_lines()) and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(task["kill_after"])
    os.kill(int(lines[0]), signal.SIGKILL)
    return int(lines[0])


def forked(
    work: Callable[[], dict[str, Any]], closed: tuple[int, ...], leave: int
) -> tuple[int, int]:
    """Start a child; return its number, and the end of a pipe from which to read its answer.

    It leaves when ``leave`` is closed: to end a process takes longer than what others are timed at.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        for end in (*closed, reading):
            os.close(end)
        with os.fdopen(writing, "w") as pipe:
            json.dump(work(), pipe)
        os.read(leave, 1)
    finally:
        os._exit(0)


def answer_of(child: int, reading: int) -> dict[str, Any]:
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return {"pid": child, "answers": [], "counted": {}} | (json.loads(said) if said else {})


def do(line: str) -> dict[str, Any]:
    from django.conf import settings

    from tests.herd.fragments import task

    task.update(json.loads(line))
    settings.CACHES["fragments"]["KEY_PREFIX"] = task["prefix"]
    settings.FRAGCACHE.update(task["settings"])
    return stampede()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    django.setup()
    import tests.herd.fragments  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(in_child(lambda line=line: do(line))), flush=True)  # type: ignore[misc]


if __name__ == "__main__":
    main()
