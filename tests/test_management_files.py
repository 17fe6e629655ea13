"""The files of management/: well-formed, and true to the commands that they call."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from fragcache.management.commands import fragments, warm_fragments

MANAGEMENT = Path(__file__).resolve().parents[1] / "management"
CRONTAB, README = "crontab", "README.md"
SERVICE, FAILED = "fragcache-warm.service", "fragcache-warm-failed@.service"
TIMER, CRONJOB, ALERTS = "fragcache-warm.timer", "kubernetes-cronjob.yaml", "kubernetes-alerts.yaml"
COMPOSE = "docker-compose.yml"
WORKER, DEPLOYMENT = "fragcache-worker@.service", "kubernetes-worker.yaml"
UNITS = (SERVICE, FAILED, TIMER)

#: What warm_fragments exits with, but for signals.
CODES = {
    0,
    warm_fragments.EXIT_FAILED,
    warm_fragments.EXIT_USAGE,
    warm_fragments.EXIT_UNAVAILABLE,
}
TERMINATED = 128 + signal.SIGTERM


def text_of(name: str) -> str:
    return (MANAGEMENT / name).read_text()


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all(text_of(name)))


def cron_lines() -> list[str]:
    """Return the lines of the crontab that start something, those in comments too."""
    uncommented = re.sub(r"^# (?=[*\d]\S* [*\d])", "", text_of(CRONTAB), flags=re.MULTILINE)
    return [line for line in uncommented.splitlines() if re.match(r"[*\d]", line)]


def warm_container() -> dict[str, Any]:
    (job,) = documents(CRONJOB)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return container  # type: ignore[no-any-return]


def commands() -> Iterator[tuple[str, str]]:
    """Yield what the files start, with where that is: all of their commands of manage.py."""
    yield CRONJOB, shlex.join(warm_container()["command"])
    for name in (CRONTAB, SERVICE, COMPOSE, README):
        for found in re.findall(
            r"manage\.py (?:warm_fragments|fragments)\b[^`\n&|#>\"\\)]*", text_of(name)
        ):
            yield name, f"python {found.removesuffix(' 2')}"


@pytest.mark.parametrize(("name", "command"), sorted(set(commands())))
def test_each_command_is_one_that_the_command_takes(name: str, command: str) -> None:
    _python, program, called, *arguments = shlex.split(command)
    parser = load_command_class("fragcache", called).create_parser(program, called)

    parser.parse_args(arguments)  # which exits where it does not


def test_the_commands_are_found_in_each_file() -> None:
    found = {name for name, _command in commands()}
    assert found == {CRONJOB, CRONTAB, SERVICE, COMPOSE, README}
    assert "python manage.py warm_fragments --check -v0" in {c.strip() for _n, c in commands()}


class TestExitCodes:
    """Those that are named are those of the command."""

    @pytest.mark.parametrize("name", [CRONTAB, COMPOSE, ALERTS])
    def test_of_a_sentence(self, name: str) -> None:
        named = re.findall(
            r"(?:[Ee]xit codes?:? |# |; )(\d+):? (?=all|some|usage|the cache)",
            text_of(name).replace("\n#", ""),
        )
        assert {int(code) for code in named} | {0} == CODES

    def test_of_the_service(self) -> None:
        named = {int(code) for code in re.findall(r"^# (\d+) ", text_of(SERVICE), re.MULTILINE)}
        assert named == CODES | {TERMINATED}
        assert re.findall("^SuccessExitStatus=(.*)", text_of(SERVICE), re.MULTILINE) == [
            str(int(TERMINATED))
        ]

    def test_of_the_cron_job(self) -> None:
        (job,) = documents(CRONJOB)
        rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        by_action = {
            rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule
        }
        assert by_action == {
            "FailJob": [warm_fragments.EXIT_FAILED, warm_fragments.EXIT_USAGE],
            "Count": [warm_fragments.EXIT_UNAVAILABLE],
        }

    def test_of_the_table(self) -> None:
        rows = re.findall(r"^\| ([\d, ]+) \|", text_of(README), re.MULTILINE)
        named = {int(code) for row in rows for code in row.split(",")}
        assert named == CODES | {128 + signal.SIGINT, TERMINATED}
        assert fragments.EXIT_UNAVAILABLE in named


class TestCrontab:
    def test_each_line_has_five_fields_and_a_command(self) -> None:
        lines = cron_lines()
        assert len(lines) == 6
        for line in lines:
            *fields, command = line.split(None, 5)
            for field, bounds in zip(
                fields, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True
            ):
                number = re.fullmatch(r"(?:\*(?:/(\d+))?|(\d+))", field)
                assert number, line
                assert all(
                    bounds[0] <= int(part) <= bounds[1] for part in number.groups() if part
                ), line
            assert "%" not in command, "cron ends a command at a percent sign"
            assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0

    def test_what_is_no_schedule_is_a_comment_or_a_setting(self) -> None:
        text = text_of(CRONTAB)
        assert text.endswith("\n"), "cron ignores a last line without an end"
        for line in text.splitlines():
            assert re.match(r"#|$|\w+=\S+$", line) or line in cron_lines(), line

    def test_failures_are_mailed_and_silence_is_noticed(self) -> None:
        text = text_of(CRONTAB)
        assert re.search(r"^MAILTO=\S+@\S+$", text, re.MULTILINE)
        assert re.search(r"^\*/5 .* -v0 && curl -fsS .*https://", text, re.MULTILINE)

    @pytest.mark.skipif(shutil.which("crontab") is None, reason="there is no cron")
    def test_cron_itself_takes_it(self) -> None:
        usage = subprocess.run(["crontab", "-?"], capture_output=True, text=True, check=False)
        dry = next((flag for flag in ("-T", "-n") if re.search(rf"{flag}\b", usage.stderr)), None)
        if dry is None:
            pytest.skip("This crontab can only install.")
        subprocess.run(["crontab", dry, MANAGEMENT / CRONTAB], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
class TestSilence:
    """What jq makes of ``fragments runs --json``."""

    @pytest.fixture(params=[CRONTAB, README])
    def program(self, request: pytest.FixtureRequest) -> str:
        (program,) = re.findall(r"jq -e '([^']+)'", text_of(request.param))
        return str(program)

    @pytest.mark.parametrize(
        ("runs", "code"),
        [
            ([], 1),
            ([("ok", 59)], 0),
            ([("ok", 61)], 1),
            ([("failed", 5), ("ok", 50)], 0),
            ([("failed", 5), ("unavailable", 10), ("ok", 70)], 1),
            ([("running", None), ("died", None)], 1),
            ([("running", None), ("ok", 10)], 0),
        ],
    )
    def test_it_is_noticed_after_an_hour(
        self, program: str, runs: list[tuple[str, int | None]], code: int
    ) -> None:
        found = [
            {
                "status": status,
                "finished_at": None
                if minutes is None
                else (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(),
            }
            for status, minutes in runs
        ]
        document = json.dumps({"format": 1, "runs": found})
        done = subprocess.run(
            ["jq", "-e", program], input=document, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (code, "")


class TestSystemd:
    @pytest.mark.parametrize("name", [*UNITS, WORKER])
    def test_each_line_is_a_section_a_setting_or_a_comment(self, name: str) -> None:
        for line in text_of(name).splitlines():
            assert re.match(r"#|$|\[(Unit|Service|Timer|Install)\]$|[A-Z]\w+=\S", line), line

    def test_a_failure_starts_the_unit_that_is_there(self) -> None:
        (unit,) = re.findall(r"^OnFailure=(.+)$", text_of(SERVICE), re.MULTILINE)
        assert unit.replace("@%n.", "@.") == FAILED
        assert "mail -s" in text_of(FAILED)

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
    def test_systemd_itself_takes_them(self, tmp_path: Path) -> None:
        for name in UNITS:
            source = text_of(name).replace("/srv/site/venv/bin/python", sys.executable)
            (tmp_path / name).write_text(source.replace("# ExecStartPost=", "ExecStartPost="))
        done = subprocess.run(
            ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)],
            capture_output=True,
            text=True,
            check=False,
        )
        said = [line for line in done.stderr.splitlines() if "fragcache-warm" in line]
        assert (done.returncode, said) == (0, [])


class TestKubernetes:
    def test_a_failure_is_kept_to_be_looked_at(self) -> None:
        (job,) = documents(CRONJOB)
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
        assert job["spec"]["failedJobsHistoryLimit"] >= 1
        template = job["spec"]["jobTemplate"]
        assert template["spec"]["ttlSecondsAfterFinished"] >= 3600
        labels = [
            part["metadata"]["labels"] for part in (job, template, template["spec"]["template"])
        ]
        assert labels == [{"app.kubernetes.io/name": "warm-fragments"}] * 3

    def test_workers_run_the_image_and_settings_of_the_job(self) -> None:
        (deployment,) = documents(DEPLOYMENT)
        spec = deployment["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        (worker,), job = spec["template"]["spec"]["containers"], warm_container()
        assert worker["command"][:3] == ["python", "manage.py", "db_worker"]
        for part in ("image", "env", "envFrom", "securityContext"):
            assert worker[part] == job[part], part

    def test_alerts_are_of_the_job_that_is_there(self) -> None:
        ((job,), (rule,)) = documents(CRONJOB), documents(ALERTS)
        name = job["metadata"]["name"]
        assert rule["kind"] == "PrometheusRule"
        (group,) = rule["spec"]["groups"]
        failed, silent = (alert["expr"] for alert in group["rules"])
        assert f'kube_job_status_failed{{job_name=~"{name}-.+"}}' in failed
        assert f'kube_cronjob_status_last_successful_time{{cronjob="{name}"}}' in silent

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
    def test_prometheus_itself_takes_the_alerts(self, tmp_path: Path) -> None:
        (rule,) = documents(ALERTS)
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
        subprocess.run(
            ["promtool", "check", "rules", str(tmp_path / "rules.yaml")],
            check=True,
            capture_output=True,
        )


class TestCompose:
    def services(self) -> dict[str, Any]:
        (document,) = documents(COMPOSE)
        return document["services"]  # type: ignore[no-any-return]

    def test_it_has_the_services_that_it_speaks_of(self) -> None:
        servers = {"postgres", "redis", "memcached"}
        assert servers | {"source", "target", "warm", "warm-target"} <= set(self.services())

    def test_it_has_only_what_the_compose_specification_knows(self) -> None:
        (document,) = documents(COMPOSE)
        services = self.services()
        assert {key for key in document if not key.startswith("x-")} == {
            *("name", "services", "volumes"),
        }
        assert {key for service in services.values() for key in service} <= {
            *("build", "command", "depends_on", "environment", "healthcheck", "image", "init"),
            *("ports", "read_only", "restart", "tmpfs", "volumes"),
        }
        for service in services.values():
            for name, needed in service.get("depends_on", {}).items():
                is_healthy = needed["condition"] == "service_healthy"
                assert not is_healthy or "healthcheck" in services[name]
            named = [volume.partition(":")[0] for volume in service.get("volumes", [])]
            assert set(named) <= set(document["volumes"])
        # What is not set is the file's own default: nobody has to write a file of settings first.
        written = re.findall(r"(?<!\$)\$(?:\{([^}]*)\}|\w)", text_of(COMPOSE))
        assert written
        assert all(re.fullmatch(r"\w+:-[\w-]+", one) for one in written), written

    def test_the_target_reads_and_only_its_warmer_writes(self) -> None:
        services = self.services()
        target, warmer = (services[name]["environment"] for name in ("target", "warm-target"))
        assert "DEMO_DATABASE_URL" not in target
        assert warmer == {**target, "DEMO_TARGET_WARMS": "1"}
        assert services["warm-target"]["command"] == services["warm"]["command"]

    def test_the_source_answers_to_the_name_by_which_the_target_asks(self) -> None:
        source, target = (self.services()[name]["environment"] for name in ("source", "target"))
        assert target["DEMO_SOURCE_URL"] == f"http://{source['DEMO_HOSTS']}:4000"
        assert target["DEMO_API_KEY"] == source["DEMO_API_KEY"]


def test_each_file_is_named_in_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#.][^)#]*)\)", text_of(README)))
    files = {path.relative_to(MANAGEMENT) for path in MANAGEMENT.rglob("*") if path.is_file()}
    assert linked == {str(path) for path in files} - {README, "Dockerfile.dockerignore"}
