"""The demo's fragments are sound, and an entry that is not is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.demo.running import DEMO_SITE, manage
from tests.demo.test_warming import INSTANCES

ROOT = str(DEMO_SITE.parent)
PLANT = """
from django.core.management import CommandError, call_command
from courses.fragments import content_item
from courses.models import Content
from tests.verifying import plant
plant(content_item, Content.objects.order_by("pk")[:100])
try:
    call_command("fragments", "verify", "courses", "--sample=all", "--json")
except CommandError as error:
    assert error.returncode == 1, error
"""


def test_all_of_it_is_sound(warmed_var: Path) -> None:
    document = json.loads(
        manage(warmed_var, "fragments", "verify", "courses", "--sample=all", "--json")
    )

    compared = {name: found["compared"] for name, found in document["fragments"].items()}
    assert compared == INSTANCES
    assert faults(document) == {}


def test_100_planted_entries_are_found_and_the_others_are_sound(warmed_var: Path) -> None:
    """The modules that show them are rendered, not read: their entries are right."""
    document = json.loads(
        manage(warmed_var, "shell", "--verbosity=0", "-c", PLANT, PYTHONPATH=ROOT)
    )

    assert faults(document) == {"wrong": 100}
    findings = document["fragments"]["courses.content_item"]["findings"]
    assert len({finding["key"] for finding in findings}) == 100


def faults(document: dict[str, Any]) -> dict[str, int]:
    totals = document["totals"]
    sound = {"instances", "compared", "seconds"}
    return {name: number for name, number in totals.items() if number and name not in sound}
