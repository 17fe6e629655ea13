"""A publisher of atomic sets that is killed again and again, and a reader that hammers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SET = "press.front"
ITEMS = range(6)
PAD = "x" * 2_000
#: Seconds after which a publisher is killed, at most: time for a few sets.
LONGEST = 0.15
#: Seconds after which a reader gives up to see more generations.
PATIENCE = 60


def main(given: dict[str, Any]) -> None:
    """Do one part in a process of its own, and print what became of it."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["fragcache"],
        DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}},
        CACHES={"fragments": given["cache"]},
        FRAGCACHE={
            "SECRET_KEYS": ["what both sites have"],
            "READ_ONLY": given["part"] == "reader",
            "PAGE_BUDGET": None,
            "STATS": "process",
        },
        LANGUAGE_CODE="en-us",
        TIME_ZONE="UTC",
        USE_TZ=True,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        ("django.template.loaders.locmem.Loader", {"title.html": "{{ n }}"})
                    ]
                },
            }
        ],
    )
    django.setup()
    part = publishing if given["part"] == "publisher" else reading
    sys.stdout.write(json.dumps(part(given)))


def publishing(given: dict[str, Any]) -> dict[str, int]:
    """Publish and roll back until the reader ends, by children that are killed at any moment."""
    from django.core.cache import caches

    from fragcache import fragment, publish_set, rollback_set

    state = {"n": 0}
    fragment(name="press.list", publish="context")(lambda: {"n": state["n"], "pad": PAD})
    fragment(name="press.card", publish="context")(lambda k: {"n": state["n"], "pad": PAD})
    fragment("title.html", name="press.title")(lambda: {"n": state["n"]})

    def publish() -> None:
        with publish_set(SET) as new:
            new.publish("press.list")
            new.publish_many("press.card", list(ITEMS))
            new.publish("press.title")

    def endlessly() -> None:
        while True:
            state["n"] += 1
            publish()
            if state["n"] % 3 == 0:
                rollback_set(SET)

    chance = random.Random(1)
    done = Counter({"kills": 0})
    publish()  # so that no child has to load what all need
    caches.close_all()  # nor inherits a connection
    (Path(given["folder"]) / "ready").touch()
    while not (Path(given["folder"]) / "over").exists():
        done["kills"] += 1
        state["n"] = 1_000 * done["kills"]
        child = in_child(endlessly)
        time.sleep(chance.uniform(0, LONGEST))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return done


def in_child(call: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            call()
        except BaseException:  # noqa: BLE001 - whatever it is, this is no copy of the parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def reading(given: dict[str, Any]) -> dict[str, int]:
    """Build pages until many generations were seen; return how many pages were of one."""
    found: Counter[str] = Counter()
    shown: set[int] = set()
    end = time.monotonic() + PATIENCE

    def visit() -> None:
        while len(shown) < given["generations"] and time.monotonic() < end:
            numbers = page_numbers()
            shown.update(numbers)
            kind = "whole" if len(numbers) == 1 else "mixed"
            found["missing" if -1 in numbers else kind] += 1

    threads = [threading.Thread(target=visit) for _thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (Path(given["folder"]) / "over").touch()
    return {**found, "generations": len(shown)}


def page_numbers() -> set[int]:
    """Return the numbers of the generations that one page shows; -1 for what is missing."""
    from fragcache import fetch_context, get_fragment, page, use_set

    with page.entered(page.of_request()):
        use_set(SET)
        missing = {"n": -1}
        numbers = {fetch_context("press.list", default=missing)["n"]}
        numbers |= {fetch_context("press.card", k, default=missing)["n"] for k in ITEMS}
        return numbers | {int(get_fragment("press.title", default="-1"))}


def start(part: str, cache: Mapping[str, Any], **given: Any) -> subprocess.Popen[str]:
    """Start a process that does a part."""
    document = json.dumps({"part": part, "cache": dict(cache), **given})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.set_processes", document],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def end(process: subprocess.Popen[str]) -> dict[str, int]:
    """Return what a process says at its end."""
    said, problems = process.communicate(timeout=90)
    assert process.returncode == 0, problems
    document: dict[str, int] = json.loads(said)
    return document


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
