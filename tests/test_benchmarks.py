"""The pure parts of the benchmarks: rounds, ratios, bounds, the report and the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import machine, report
from benchmarks.bounds import Bound, bounds, is_missed
from benchmarks.contenders.without_counters import without_counters
from benchmarks.extent import Extent
from benchmarks.measuring import (
    Quartiles,
    Results,
    Table,
    interleaved,
    order,
    quartiles,
    significant,
)
from fragcache import counters
from fragcache.events import Event


def a_table(kind: Any = "warm", server: str = "redis", n: int = 100, **times: Any) -> Table:
    rows = {key.replace("_", "-"): figures for key, figures in times.items()}
    return Table(kind=kind, server=server, n=n, labels={key: key for key in rows}, times=rows)


def figures_of(found: Sequence[Bound], promise: str) -> list[float | None]:
    return [bound.figure for bound in found if bound.promise == promise]


class TestRounds:
    def test_every_row_runs_once_in_every_round(self) -> None:
        ran: list[str] = []
        samples = {name: lambda name=name: ran.append(name) or 1.0 for name in "abc"}

        times = interleaved(samples, 4)

        assert times == {"a": [1.0] * 4, "b": [1.0] * 4, "c": [1.0] * 4}
        assert all(set(ran[start : start + 3]) == {*"abc"} for start in range(0, 12, 3))

    def test_no_row_is_always_first_or_always_after_the_same_one(self) -> None:
        orders = [order(["a", "b", "c"], number) for number in range(6)]

        assert {names[0] for names in orders} == {"a", "b", "c"}
        assert {names[names.index("b") - 1] for names in orders if names[0] != "b"} == {"a", "c"}

    def test_progress_is_told_of_each_row(self) -> None:
        ticks: list[int] = []
        interleaved({"a": lambda: 1.0, "b": lambda: 2.0}, 3, lambda: ticks.append(1))
        assert len(ticks) == 6


class TestFigures:
    def test_ratios_are_paired_by_round(self) -> None:
        """The second round of a machine that slows down tenfold says the same as the first."""
        table = a_table(ours=[1.0, 10.0], theirs=[3.0, 30.0])

        assert table.speedups("ours", over="theirs") == [3.0, 3.0]
        assert table.ratios("theirs", to="ours") == [3.0, 3.0]

    def test_quartiles(self) -> None:
        assert quartiles([5, 1, 4, 2, 3]) == Quartiles(2, 3, 4)

    def test_one_figure_is_its_own_quartiles(self) -> None:
        assert quartiles([7.5]) == Quartiles(7.5, 7.5, 7.5)

    @pytest.mark.parametrize(
        ("figure", "shown"),
        [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"), (0.012, "0.0120")],
    )
    def test_figures_are_shown_in_three_digits(self, figure: float, shown: str) -> None:
        assert significant(figure) == shown


class TestBounds:
    bound = Bound(promise="S1", claim="", limit=25, at_least=True, figure=25)

    @pytest.mark.parametrize(
        ("figure", "at_least", "verdict"),
        [
            (25, True, "pass"),
            (20, True, "falls short by 20%"),
            (25, False, "pass"),
            (30, False, "exceeds by 20%"),
            (24.975, True, "falls short by 0.1%"),
            (None, True, "not measured"),
        ],
    )
    def test_a_verdict_says_by_how_much(
        self, figure: float | None, at_least: bool, verdict: str
    ) -> None:
        assert replace(self.bound, figure=figure, at_least=at_least).verdict == verdict

    def test_only_what_was_measured_can_be_missed(self) -> None:
        assert not is_missed([self.bound, replace(self.bound, figure=None)])
        assert is_missed([self.bound, replace(self.bound, figure=24.9)])

    def test_all_promises_are_looked_at_in_an_empty_run(self) -> None:
        found = bounds(Results())

        assert {bound.promise for bound in found} == {"S1", "S2", "S3", "S4", "S5", "S6", "S11"}
        assert all(bound.verdict == "not measured" for bound in found)

    def test_figures_are_medians_of_paired_ratios(self) -> None:
        table = a_table(
            fragments_remote=[1.0, 2.0, 1.0],
            cache_redis=[30.0, 60.0, 20.0],
            limit=[0.5, 1.0, 0.25],
            opening=[0.25, 0.5, 0.25],
        )

        assert figures_of(bounds(Results(tables=[table])), "S1") == [30, None, 2, 1.5]

    def test_the_share_of_counters_is_what_goes_without_them(self) -> None:
        table = a_table(fragments=[1.0, 2.0], fragments_bare=[0.75, 1.5])
        found = bounds(Results(tables=[table]))
        assert figures_of(found, "S11")[0] == 0.25

    def test_round_trips_are_counts(self) -> None:
        assert figures_of(bounds(Results(trips={"redis": 3})), "S5") == [3, None]

    def test_cold_pages_are_compared_with_a_plain_loop(self) -> None:
        table = a_table("cold", "memcached", fragments=[12.0], plain=[10.0])
        assert figures_of(bounds(Results(tables=[table])), "S6") == [None, None, 1.2]


class TestReport:
    results = Results(
        tables=[
            a_table(
                n=1, fragments=[0.1], fragment=[0.1], cache_redis=[0.2], cache_django_redis=[1]
            ),
            a_table(n=1000, fragments=[1.0], cache_redis=[20.0], cache_django_redis=[10.0]),
        ],
        notes=["A peer is not here."],
    )

    def test_markdown_has_a_column_per_size_and_leaves_out_what_was_not_measured(self) -> None:
        text = report.markdown(self.results, [], {}, "1 round.", plots=False)

        assert "- A peer is not here." in text
        assert "|  | N=1 ms | N=1,000 ms |" in text
        assert "| fragments | 0.100 | 1.00 |" in text
        assert "| fragment | 0.100 |  |" in text
        assert "| fragments | 2.00 (2.00 to 2.00) | 20.0 (20.0 to 20.0) |" in text
        assert ".svg" not in text

    def test_bounds_are_shown_with_their_units(self) -> None:
        bound = TestBounds.bound
        share = replace(bound, promise="S11", limit=0.1, figure=0.123, at_least=False, unit="%")
        shown = report.bounds_table([replace(bound, figure=16.25), share])
        assert "| S1 |  | ≥ 25x | 16.2x | falls short by 35% |" in shown
        assert "| S11 |  | ≤ 10% | 12.3% | exceeds by 23% |" in shown

    def test_json_holds_every_sample(self) -> None:
        content = json.loads(report.as_json(self.results, bounds(self.results), {}, "1 round."))

        assert content["tables"][1]["n"] == 1000
        assert content["tables"][1]["rows"]["cache-redis"]["milliseconds"] == [20.0]
        assert {bound["promise"] for bound in content["bounds"]} >= {"S1", "S11"}

    def test_the_machine_is_described_without_names_or_places(self) -> None:
        described = str(machine.describe([]))

        assert "Python" in described
        assert os.uname().nodename not in described
        assert str(Path.home()) not in described


class TestCommandLine:
    def test_a_partial_run_does_not_replace_the_results_of_a_full_one(self, tmp_path: Path) -> None:
        parse = command.parser().parse_args

        assert command.output(parse([])) == command.RESULTS
        assert command.output(parse(["--quick"])) is None
        assert command.output(parse(["--only", "redis"])) is None
        assert command.output(parse(["--quick", "--output", str(tmp_path)])) == tmp_path

    def test_a_missed_bound_is_an_error_only_with_check(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        slow = a_table(n=1, fragment=[2.0], cache_redis=[1.0], cache_django_redis=[1.0])
        results = Results(tables=[slow])
        parse = command.parser().parse_args
        arguments = ["--output", str(tmp_path)]

        assert command.publish(results, "", parse(arguments), {}) == 0
        assert command.publish(results, "", parse([*arguments, "--check"]), {}) == 1
        assert "falls short by 50%" in capsys.readouterr().out
        assert (tmp_path / "results.md").exists()

    @pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--only", "postgresql"]])
    def test_wrong_arguments_are_refused(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit):
            command.parser().parse_args(arguments)

    def test_large_pages_get_a_third_of_the_rounds(self) -> None:
        extent = Extent(sizes=(1, 1000), rounds=30)
        assert [extent.rounds_of(n) for n in extent.sizes] == [30, 10]


def test_counters_are_replaced_wherever_a_module_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hot_path: Any = ModuleType("fragcache.hot_path")
    hot_path.note = counters.count
    monkeypatch.setitem(sys.modules, hot_path.__name__, hot_path)

    with without_counters() as replaced:
        assert hot_path.note is counters.count
        assert hot_path.note(Event.HIT) is None
        assert counters.totals() == {}

    assert {"fragcache.counters.count", "fragcache.hot_path.note"} <= set(replaced)
    assert {"fragcache.reading.fetching.reading", "fragcache.guard.writing"} <= set(replaced)
    hot_path.note(Event.HIT)
    assert sum(counters.totals().values()) == 1
