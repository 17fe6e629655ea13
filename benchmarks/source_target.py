"""Measure a page that two sites make together: built per visit, and from what was published.

Real sites in processes of their own, on PostgreSQL and Redis, with the music of demo_site. Built
per visit means: the target asks the source over HTTP, which stores a context with a queryset,
pickled, and answers with its key; relations that were not loaded are queries of the target. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import servers
from benchmarks.__main__ import positive
from benchmarks.measuring import interleaved, quartiles, significant
from benchmarks.warm.combinations import KINDS
from tests.processes import free_port

ROOT: Final = Path(__file__).resolve().parents[1]
ROUNDS: Final = 41
ROWS: Final = {
    "per visit": "built per visit: a queryset, pickled",
    "joined": "... with `select_related`",
    "asked for": "fragcache: the source asked for a key at each visit",
    "warmed": "fragcache: warmed",
}
PATHS: Final = {
    "per visit": "/musics/",
    "joined": "/musics/?joined=1",
    "asked for": "/musics/",
    "warmed": "/musics/warmed/",
}
PREPARE: Final = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("load_musics", verbosity=0)
call_command("warm_fragments", "musics", verbosity=0)
"""


class Page(NamedTuple):
    """What was shown, and what the footer says that it took."""

    titles: list[str]
    queries: int
    requests: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.source_target",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    options = made.parse_args(arguments)
    kinds = {name: KINDS[name] for name in ("redis", "postgresql")}
    with (
        tempfile.TemporaryDirectory(prefix="fragcache-bench-") as directory,
        servers.running(list(kinds), kinds, nullcontext) as missing,
    ):
        if missing:
            print(f"Nothing is measured. {' '.join(missing.values())}")
            return 1
        with running_sites(Path(directory)) as ports:
            pages = {row: page(ports[row], PATHS[row]) for row in ROWS}
            check(pages)
            times = interleaved(
                {row: lambda row=row: timed(ports[row], PATHS[row]) for row in ROWS},
                options.rounds,
            )
    show(pages, times)
    return 0


@contextmanager
def running_sites(directory: Path) -> Iterator[dict[str, int]]:
    """Yield the port of the target of each row."""
    database = os.environ[servers.VARIABLES["postgresql"]].rpartition("/")[0] + "/postgres"
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "demo_site")]),
        "DEMO_VAR": str(directory),
        "DEMO_CACHE": "redis",
        "DEMO_REDIS_URL": os.environ[servers.VARIABLES["redis"]],
    }
    with_database = {**common, "DEMO_DATABASE_URL": database}
    django = [sys.executable, "-m", "django"]
    run([*django, "shell", "-v0", "-c", PREPARE], with_database, "source.settings")
    warming = {**common, "DEMO_TARGET_WARMS": "1"}
    run([*django, "warm_fragments", "-v0"], warming, "target.settings")
    ports = {name: free_port() for name in ("source", "target", "its source", "its target")}
    started = []
    try:
        for name, settings, source, environment in (
            ("source", "source.settings", "", with_database),
            ("target", "target.settings", "source", common),
            ("its source", "benchmarks.demonstration.settings", "", with_database),
            ("its target", "benchmarks.demonstration.settings", "its source", with_database),
        ):
            address = f"http://127.0.0.1:{ports.get(source, 0)}"
            started.append(
                subprocess.Popen(
                    [*django, "runserver", "--noreload", "--nothreading", str(ports[name])],
                    env={
                        **environment,
                        "DEMO_SOURCE_URL": address,
                        "DJANGO_SETTINGS_MODULE": settings,
                    },
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for port in ports.values():
            wait(port)
        its, own = ports["its target"], ports["target"]
        yield {"per visit": its, "joined": its, "asked for": own, "warmed": own}
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(command: list[str], environment: dict[str, str], settings: str) -> None:
    """Run a command to its end, which must be a good one."""
    subprocess.run(command, env={**environment, "DJANGO_SETTINGS_MODULE": settings}, check=True)


def wait(port: int) -> None:
    """Return when a site answers."""
    for _ in range(600):
        try:
            fetch(port, "/none/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"The site on port {port} does not answer.")


def fetch(port: int, path: str) -> str:
    """Return a page over a connection of its own, as of a visitor who comes once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def timed(port: int, path: str) -> float:
    """Return the milliseconds of a page."""
    began = time.perf_counter()
    fetch(port, path)
    return (time.perf_counter() - began) * 1000


def page(port: int, path: str) -> Page:
    """Return what the second visitor of a process gets: the first one makes it connect."""
    fetch(port, path)
    text = fetch(port, path)
    cost = re.search(r"SQL queries: (\d+); requests to the source: (\d+)", text)
    if cost is None:
        raise SystemExit(f"{path} on port {port} is not the page: {text[:200]!r}")
    titles = re.findall(r"<td>(?!\d+(?: min)?</td>)(.*?)</td>", text)
    return Page(titles, int(cost[1]), int(cost[2]))


def check(pages: dict[str, Page]) -> None:
    """Raise unless all of them show the same."""
    for row, found in pages.items():
        if sorted(found.titles) != sorted(pages["warmed"].titles) or not found.titles:
            raise SystemExit(f"The page {row!r} shows something else: {len(found.titles)} titles.")


def show(pages: dict[str, Page], times: dict[str, list[float]]) -> None:
    """Print a table."""
    print(f"\nA page of {len(pages['warmed'].titles)} albums; times as long: median of rounds\n")
    print("| the page is | ms | queries on the target | requests to the source | times as long |")
    print("|--|--:|--:|--:|--:|")
    for row, label in ROWS.items():
        ratios = [a / b for a, b in zip(times[row], times["warmed"], strict=True)]
        low, median, high = (significant(figure) for figure in quartiles(times[row]))
        cells = (f"{median} ({low} to {high})", pages[row].queries, pages[row].requests)
        ratio = significant(quartiles(ratios).median)
        print(f"| {label} | {' | '.join(map(str, cells))} | {ratio} |")


if __name__ == "__main__":
    sys.exit(main())
