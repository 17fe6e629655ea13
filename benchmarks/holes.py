"""Measure a kept block of 50 KB with no, one and twenty holes, beside django-adv-cache-tag.

Each page is a hit in a cache of the process, so that what is compared is the tags' own work: no
server, no network. Django's tag has no holes and stands beside the block without any. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.__main__ import positive
from benchmarks.measuring import interleaved, quartiles, significant

HOLES: Final = (0, 1, 20)
CHARACTERS: Final = 50_000
ROUNDS: Final = 51
#: Pages of which one sample is the mean.
PAGES: Final = 20
HOLE: Final = "{% nocache %}{{ x }}{% endnocache %}"
#: By the name of a library, how its block begins.
BLOCKS: Final = {
    "fragcache": '{% cache 600 holes n using="fragcache-locmem" %}',
    "adv_cache": "{% cache 600 adv_holes n using=locmem %}",
    "cache": '{% cache 600 holes n using="locmem" %}',
}
LABELS: Final = {"adv_cache": "adv-cache-tag", "cache": "Django's `{% cache %}`"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.holes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    options = made.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fragcache-bench-") as directory:
        os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"] = directory
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        import django

        django.setup()
        print("\nMicroseconds for a page with a block of 50 KB that is kept, medians\n")
        print(f"|  | {' | '.join(f'{number} holes' for number in HOLES)} |")
        print(f"|--|{'--:|' * len(HOLES)}")
        found = {number: _measured(number, options.rounds) for number in HOLES}
        for library in BLOCKS:
            cells = (_cell(found[number].get(library)) for number in HOLES)
            print(f"| {LABELS.get(library, library)} | {' | '.join(cells)} |")
    return 0


def _measured(holes: int, rounds: int) -> dict[str, list[float]]:
    """Return microseconds per page by library, round by round."""
    pages = {library: _page(library, holes) for library in BLOCKS}
    samples = {name: lambda page=page: _timed(page) for name, page in pages.items() if page}
    return interleaved(samples, rounds)


def _page(library: str, holes: int) -> Callable[[], str] | None:
    """Return what shows a page; None where the library has no holes, or is not installed."""
    from django.apps import apps
    from django.template import Context, engines

    if library == "cache" and holes:
        return None
    if library == "adv_cache" and not apps.is_installed("adv_cache_tag"):
        return None
    pieces = ["<p>" + "x" * (CHARACTERS // (holes + 1)) + "</p>"] * (holes + 1)
    source = f"{{% load {library} %}}{BLOCKS[library]}{HOLE.join(pieces)}{{% endcache %}}"
    template = engines["django"].from_string(source)

    def page() -> str:
        return str(template.template.render(Context({"n": holes, "x": "hole"})))

    if page().count("hole") != holes or page().count("hole") != holes:
        raise SystemExit(f"{library} does not fill its {holes} holes.")
    return page


def _timed(page: Callable[[], str]) -> float:
    page()
    began = time.perf_counter()
    for _ in range(PAGES):
        page()
    return (time.perf_counter() - began) / PAGES * 1_000_000


def _cell(times: Sequence[float] | None) -> str:
    return "" if times is None else significant(quartiles(times).median)


if __name__ == "__main__":
    sys.exit(main())
