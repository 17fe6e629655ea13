"""The benchmark of warming: its figures, bounds, report and command line, and one small run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bounds import Bound
from benchmarks.measuring import Table
from benchmarks.warm import __main__ as command
from benchmarks.warm import report
from benchmarks.warm.bounds import bounds
from benchmarks.warm.findings import Findings, Scale, exponent, further_growth
from benchmarks.warm.run import Extent
from tests import processes
from tests.servers import find_program

ROOT = Path(__file__).parent.parent


def a_table(kind: Any = "warming", server: str = "redis", **times: Any) -> Table:
    rows = {key.replace("_", "-"): figures for key, figures in times.items()}
    return Table(kind=kind, server=server, n=1000, labels={key: key for key in rows}, times=rows)


def scales(*points: tuple[int, float, float], run: str = "again") -> list[Scale]:
    """Return runs of (size, seconds, MB)."""
    return [
        Scale(server="redis", run=run, size=size, seconds=[seconds], growth=[int(megabytes * 1e6)])
        for size, seconds, megabytes in points
    ]


def bounds_of(findings: Findings, promise: str, words: str = "Redis") -> list[Bound]:
    return [b for b in bounds(findings) if b.promise == promise and words in b.claim]


WARMING = a_table(
    one_by_one=[100.0, 200.0],
    set_many=[60.0, 120.0],
    render=[30.0, 60.0],
    run=[40.0, 80.0],
    command=[50.0, 100.0],
    again=[4.0, 8.0],
    changed=[5.0, 10.0],
    again_changed=[1.0, 2.0],
    changed_changed=[2.0, 4.0],
)


class TestFigures:
    @pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
    def test_the_exponent_is_the_power_with_which_time_grows(self, power: float) -> None:
        found = scales(*((size, 3e-5 * size**power, 1) for size in (100, 1_000, 10_000)))
        assert exponent(found) == pytest.approx(power)

    def test_the_exponent_is_fitted_to_medians(self) -> None:
        found = scales((100, 1.0, 1), (1_000, 10.0, 1))
        assert exponent([found[0], replace(found[1], seconds=[1, 10, 900])]) == pytest.approx(1)

    def test_memory_is_that_of_the_worst_size_beyond_the_smallest(self) -> None:
        assert further_growth(scales((1, 1, 4.0), (10, 1, 9.0), (100, 1, 7.0))) == 5.0
        assert further_growth(scales((1, 1, 4.0), (10, 1, 3.0))) == 0.0

    def test_one_size_tells_nothing_of_growth(self) -> None:
        assert exponent(scales((1, 1, 1))) is None
        assert further_growth(scales((1, 1, 1))) is None


class TestBounds:
    def test_all_promises_are_looked_at_in_an_empty_run(self) -> None:
        found = bounds(Findings())

        assert [bound.promise for bound in found] == sorted(
            (bound.promise for bound in found), key=lambda promise: int(promise[1:])
        )
        assert {bound.promise for bound in found} == {"S7", "S8", "S9", "S10"}
        assert all(bound.verdict == "not measured" for bound in found)

    def test_s7_is_the_rate_of_rendering_alone(self) -> None:
        found = bounds_of(Findings(tables=[WARMING]), "S7", "rendering alone")
        assert [bound.figure for bound in found] == [0.75, 0.6, None, None]
        assert found[0].wanted == "≥ 0.85x"
        assert found[0].verdict == "falls short by 12%"

    def test_s7_misses_where_a_larger_batch_makes_more_queries(self) -> None:
        same, more = ({100: 2, 1_000: queries} for queries in (2, 3))
        assert bounds_of(Findings(queries={"redis": same}), "S7", "queries")[0].holds
        assert bounds_of(Findings(queries={"redis": more}), "S7", "queries")[0].holds is False

    def test_s8_compares_the_whole_command(self) -> None:
        table = a_table("parallel", one=[180.0], two=[100.0], start=[50.0], two_started=[50.0])
        found = bounds_of(Findings(tables=[table]), "S8")
        assert [bound.figure for bound in found] == [1.8]

    def test_s9_compares_with_the_loop_and_with_a_full_run(self) -> None:
        found = bounds_of(Findings(tables=[WARMING], renders={"redis": 0}), "S9")
        assert [bound.figure for bound in found] == [25, 0, 0.1, 100, 0.04]
        assert [bound.holds for bound in found] == [False, True, False, True, True]

    def test_a_render_without_a_change_is_a_miss(self) -> None:
        bound = bounds_of(Findings(renders={"redis": 3}), "S9", "renders")[0]
        assert bound.verdict == "exceeds by 3"

    def test_s10_holds_exponents_and_megabytes(self) -> None:
        findings = Findings(scales=scales((100, 1.0, 2.0), (10_000, 200.0, 40.0)))
        time, memory = bounds_of(findings, "S10", "nothing changed, Redis")
        assert (time.figure, time.verdict) == (1.151, "exceeds by 10%")
        assert (memory.measured, memory.verdict) == ("38.0 MB", "exceeds by 27%")


class TestReport:
    findings = Findings(
        tables=[WARMING],
        queries={"redis": {100: 2, 1_000: 2}},
        scales=[
            scale
            for run in ("everything", "again", "changed")
            for scale in scales((100, 0.001, 2.0), (1_000, 0.01, 3.0), run=run)
        ],
        notes=["SQLite and Memcached: not measured. No memcached was found."],
    )

    def markdown(self, findings: Findings, *, plots: bool = False) -> str:
        return report.markdown(findings, bounds(findings), {}, "1 round.", plots=plots)

    def test_markdown_has_a_column_per_size(self) -> None:
        text = self.markdown(self.findings)

        assert "| seconds, median (µs per note) | 100 | 1,000 | exponent |" in text
        assert "| again, nothing changed | 0.0010 (10.0) | 0.0100 (10.0) | 1.000 |" in text
        assert "| again, nothing changed | 2.00 | 3.00 |" in text
        assert "Queries per batch: 2 with batches of 100, 2 with batches of 1,000." in text
        assert "| set-many | 90.0 | 90.0 | 1.67 (1.67 to 1.67) | 0.500 (0.500 to 0.500) |" in text

    def test_what_was_not_measured_has_no_section(self) -> None:
        text = self.markdown(self.findings)

        assert "## PostgreSQL and Redis" in text
        assert "## SQLite and Memcached" not in text
        assert "- SQLite and Memcached: not measured." in text

    def test_plots_are_shown_only_where_they_are(self) -> None:
        assert "(warming-redis.svg)" in self.markdown(self.findings, plots=True)
        assert ".svg" not in self.markdown(self.findings)

    def test_json_holds_every_sample(self) -> None:
        content = json.loads(report.as_json(self.findings, [], {}, "1 round."))
        assert content["tables"][0]["rows"]["again"]["milliseconds"] == [4.0, 8.0]
        assert content["scale"][1]["seconds"] == [0.01]


class TestCommandLine:
    def test_a_partial_run_does_not_replace_the_results_of_a_full_one(self, tmp_path: Path) -> None:
        parse = command.parser().parse_args

        assert command.output(parse([])) == command.RESULTS
        for partial in (["--quick"], ["--only", "redis"], ["--sizes", "100"]):
            assert command.output(parse(partial)) is None
        assert command.output(parse(["--quick", "--output", str(tmp_path)])) == tmp_path

    def test_a_missed_bound_is_an_error_only_with_check(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        findings = Findings(tables=[WARMING])
        parse = command.parser().parse_args
        arguments = ["--output", str(tmp_path)]

        assert command.publish(findings, "", parse(arguments), {}) == 0
        assert command.publish(findings, "", parse([*arguments, "--check"]), {}) == 1
        assert "falls short by 12%" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments", [["--rounds", "0"], ["--only", "locmem"], ["--sizes", "99"]]
    )
    def test_wrong_arguments_are_refused(self, arguments: Sequence[str]) -> None:
        with pytest.raises(SystemExit):
            command.parser().parse_args(arguments)

    def test_sizes_that_take_minutes_are_run_once(self) -> None:
        extent = Extent(sizes=(10_000, 100_000, 1_000_000), rounds=6)

        assert [extent.runs_of(size) for size in extent.sizes] == [3, 1, 1]
        assert (extent.size_of_ratios, extent.size_of_parallel) == (10_000, 100_000)


def test_a_small_run_measures_every_promise(tmp_path: Path) -> None:
    """Each run also fails by itself where it renders another number than it has to."""
    if None in map(find_program, (processes.Redis, processes.PostgreSQL)):
        pytest.skip("The benchmark starts a Redis and a PostgreSQL, of which there is no program.")
    arguments = ["--sizes", "100", "200", "--rounds", "1", "--only", "redis"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.warm", *arguments, "--output", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "warming.json").read_text())
    assert content["notes"] == []
    assert content["renders_though_nothing_changed"] == {"redis": 0}
    assert set(content["queries_per_batch"]["redis"]) == {"100", "1000"}
    assert [(scale["run"], scale["size"]) for scale in content["scale"]] == [
        (run, size) for size in (100, 200) for run in ("everything", "again", "changed")
    ]
    assert all(
        bound["figure"] is not None for bound in content["bounds"] if "Redis" in bound["claim"]
    )
