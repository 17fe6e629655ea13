"""Make the tables, and as many passages as asked of the texts of the demo site's lessons."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import django
from django.core.management import call_command

DATA = Path(__file__).parents[2] / "demo_site" / "data" / "carpentries.json"
LENGTH = 200


def texts() -> Iterator[tuple[str, str]]:
    for course in json.loads(DATA.read_text())["courses"]:
        for module in course["modules"]:
            for content in module["contents"]:
                text = content.get("content") or module["description"]
                yield content["title"][:200], text[:LENGTH]


def fill(number: int) -> None:
    from tests.anthology.models import Passage

    call_command("migrate", run_syncdb=True, verbosity=0)
    numbered = zip(range(1, number + 1), itertools.cycle(texts()), strict=False)
    Passage.objects.bulk_create(
        (Passage(title=f"{n}. {title}", text=text) for n, (title, text) in numbered),
        batch_size=5_000,
    )


if __name__ == "__main__":
    django.setup()
    fill(int(sys.argv[1]))
