"""Runs of the counting site: several processes at once, and what all of it came to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from typing import Any

from prometheus_client import CollectorRegistry

from fragcache.contrib.prometheus import FragcacheCollector
from fragcache.counters import add
from fragcache.events import Event, Miss
from fragcache.models import Counts, Totals
from fragcache.stats.keeping import Sheets, unpacked
from fragcache.stats.totals import GONE, fold
from tests.lines import ROOT

PROCESSES = 4


def check(requests: int, backend: str, location: str, database: str) -> Counter[str]:
    """Let processes make requests; check that the counts are theirs, and return all of them."""
    found = _run(requests, backend, location, database)
    asked, rendered = (_sum(part[word] for part in found) for word in ("asked", "rendered"))
    sheets: Sheets = {}
    rows = list(Counts.objects.values_list("process", "sheets"))
    for _process, sheets_of_row in rows:
        add(sheets, unpacked(sheets_of_row))

    counted, missed, renders = Counter[str](), Counter[str](), Counter[str]()
    for (name, axes), sheet in sheets.items():
        if "language=" in axes:
            label = f"{name} {axes.split('language=s2:')[1][:2]}"
            missed[label] = sum(sheet.get(reason, 0) for reason in Miss)
            counted[label] = sheet.get(Event.HIT, 0) + missed[label]
            renders[label] = sheet[Event.RENDERED]
    assert counted == asked
    assert renders == rendered == missed
    _check_metrics(sheets)
    # Each process has a child, and both have rows of their own.
    assert len({process for process, _sheets in rows}) == 2 * PROCESSES
    return _sum(sheets.values())


def _check_metrics(sheets: Sheets) -> None:
    """Check that any process tells Prometheus of all of them, also when they are long gone."""
    for _time in range(2):
        registry = CollectorRegistry()
        registry.register(FragcacheCollector())
        for name in ("counting.versioned", "counting.headed"):
            found = registry.get_sample_value("fragcache_hits_total", {"fragment": name})
            own = [sheet for (fragment, _axes), sheet in sheets.items() if fragment == name]
            assert found == sum(sheet.get(Event.HIT, 0) for sheet in own)
        fold(int(time.time()) + GONE + 1)
    assert Totals.objects.count() == 1


def address_of(database: dict[str, Any]) -> str:
    """Return what ``tests.settings.database_at`` makes such an entry of DATABASES of."""
    host = f"{database['HOST']}:{database['PORT']}"
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{host}/{database['NAME']}"


def _run(requests: int, backend: str, location: str, database: str) -> list[dict[str, Any]]:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.counting_settings",
        "PYTHONPATH": str(ROOT),
        "COUNTING_BACKEND": backend,
        "COUNTING_LOCATION": location,
        "COUNTING_PREFIX": uuid.uuid4().hex[:12],
        "COUNTING_DATABASE": database,
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.counting", str(number), str(requests // PROCESSES)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    told = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES
    return [part for text in told for part in json.loads(text)]


def _sum(parts: Any) -> Counter[str]:
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part)
    return sums
