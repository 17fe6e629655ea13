"""What Prometheus and Grafana are given: it speaks of metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fragcache.contrib.prometheus import FragcacheCollector
from fragcache.events import Event, Miss

MANAGEMENT = Path(__file__).resolve().parents[1] / "management"
DASHBOARD = MANAGEMENT / "grafana" / "fragcache.json"
RULES = MANAGEMENT / "prometheus" / "fragcache-rules.yaml"
SCRAPE = MANAGEMENT / "prometheus" / "scrape.yaml"
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
#: What Grafana puts in the place of its variables.
VARIABLES = {"$__rate_interval": "2m", "$__range": "6h", "$job": ".*", "$fragment": ".*"}
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> list[str]:
    """Return all queries, with values in the place of variables."""
    targets = [target for panel in dashboard()["panels"] for target in panel["targets"]]
    found = [target["expr"] for target in targets] + [rule["expr"] for rule in rules()]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def metrics() -> set[str]:
    """Return the names that samples of the collector have."""
    return {
        family.name + suffix
        for family in FragcacheCollector(by_axes=True).describe()
        for suffix in SUFFIXES[family.type]
    }


def test_each_metric_that_is_asked_for_is_told() -> None:
    asked = {name for one in expressions() for name in re.findall(r"\bfragcache_\w+", one)}
    assert asked
    assert asked <= metrics()
    variables = dashboard()["templating"]["list"]
    queried = re.findall(r"\bfragcache_\w+", " ".join(str(one["query"]) for one in variables))
    assert set(queried) <= metrics()


def test_each_event_and_reason_that_is_asked_for_exists() -> None:
    known = {
        "event": {event.value for event in Event},
        "reason": {one.name.lower() for one in Miss},
    }
    for expression in expressions():
        for label, words in re.findall(r'(event|reason)(?:=|!=|=~|!~)"([^"]*)"', expression):
            assert set(words.split("|")) <= known[label], expression


def test_the_dashboard_can_be_imported_for_any_data_source() -> None:
    document = dashboard()
    [source, *_others] = document["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    assert document["schemaVersion"] >= 41
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["description"]


@needs_promtool
def test_prometheus_takes_rules_and_queries(tmp_path: Path) -> None:
    queries = [
        {"record": f"query:{number}", "expr": one} for number, one in enumerate(expressions())
    ]
    (tmp_path / "queries.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "queries", "rules": queries}]})
    )
    for path in (RULES, tmp_path / "queries.yaml"):
        checked(["promtool", "check", "rules", str(path)])


@needs_promtool
def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    document = yaml.safe_load(SCRAPE.read_text())
    [job] = document["scrape_configs"]
    (tmp_path / "key").write_text("key")
    job["authorization"]["credentials_file"] = str(tmp_path / "key")
    document["rule_files"] = [str(RULES)]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document))
    checked(["promtool", "check", "config", str(tmp_path / "prometheus.yml")])


def checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
