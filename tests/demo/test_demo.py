"""`make demo` from its start to Ctrl-C: two sites, real content, nothing left behind."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.demo.running import Demo, is_listening, left_running, manage, texts

COURSES = {
    "Version Control with Git",
    "Programming with Python",
    "Plotting and Programming in Python",
    "Data Analysis and Visualization in Python for Ecologists",
    "The Unix Shell",
    "Databases and SQL",
    "R for Reproducible Scientific Analysis",
}
READY = "Ctrl-C stops both"


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("redis", marks=pytest.mark.server("redis")),
        pytest.param("memcached", marks=pytest.mark.server("memcached")),
    ]
)
def cache(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """The name of a cache, and the environment that says where it is."""
    if request.param == "redis":
        return "redis", {"DEMO_REDIS_URL": request.getfixturevalue("redis_url")}
    if request.param == "memcached":
        return "memcached", {"DEMO_MEMCACHED": request.getfixturevalue("memcached_address")}
    return "embedded", {}


def test_the_target_shows_the_lessons_with_and_without_the_source(
    start_demo: Callable[..., Demo], cache: tuple[str, dict[str, str]]
) -> None:
    name, changes = cache
    database = "postgres" if name == "redis" and has_postgresql() else "sqlite"
    demo = start_demo(f"--cache={name}", f"--db={database}", **changes)
    demo.read_until(READY)

    assert set(texts(demo.source("/"), "h3")) == COURSES
    assert texts(demo.target("/"), "h3") == texts(demo.source("/"), "h3")
    lesson = demo.target("/modules/1/")
    assert texts(lesson, "h1") == ["Automated Version Control"]
    assert "Automated version control systems are nothing new." in lesson
    assert texts(demo.target("/modules/999/"), "h1") == ["Not warmed yet"]

    music = texts(demo.target("/musics/warmed/"), "tr")
    assert len(music) == 348
    assert texts(demo.target("/musics/"), "tr") == music

    os.kill(demo.pid("source"), signal.SIGTERM)
    demo.read_until("The target goes on")
    if database == "sqlite":
        (demo.var / "source.sqlite3").rename(demo.var.with_name("moved-away"))
    assert not is_listening(demo.source_port)
    assert texts(demo.target("/modules/1/"), "main") == texts(lesson, "main")
    assert set(texts(demo.target("/"), "h3")) == COURSES
    assert texts(demo.target("/musics/warmed/"), "tr") == music
    assert texts(demo.target("/musics/"), "h2") == ["It cannot be shown at the moment"]

    assert demo.end(signal.SIGINT) == 0
    assert "Traceback" not in demo.output
    assert left_running(demo) == []


def has_postgresql() -> bool:
    """Whether the demo, too, finds one: it does not look into wheels."""
    return bool(shutil.which("postgres") or glob.glob("/usr/lib/postgresql/*/bin/postgres"))


def test_the_target_has_no_database_and_none_of_the_apps_of_the_source(var: Path) -> None:
    script = """
from django.apps import apps
from django.db import connection
models = [model for model in apps.get_models() if model._meta.app_label != "fragcache"]
print(models, connection.settings_dict["ENGINE"])
try:
    import courses.models
except RuntimeError as error:
    print(error)
"""
    output = manage(var, "shell", "--verbosity=0", "-c", script, DEMO_SITE="target")
    assert output.splitlines()[0] == "[] django.db.backends.dummy"
    assert "isn't in an application in INSTALLED_APPS" in output


def test_the_source_has_a_superuser_whose_password_can_be_told(var: Path) -> None:
    script = """
import os
from django.contrib.auth import authenticate
from django.core.management import call_command
for password in ("demo", "changed", "changed"):
    os.environ["DEMO_ADMIN_PASSWORD"] = "" if password == "demo" else password
    call_command("make_superuser")
    print(authenticate(username="demo", password=password).is_superuser)
"""
    output = manage(var, "shell", "--verbosity=0", "-c", script)
    assert output.split() == ["True", "True", "True"]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_during_the_preparation_leaves_nothing_running(
    start_demo: Callable[..., Demo], how: signal.Signals, code: int
) -> None:
    demo = start_demo()
    demo.read_until("Cache:")
    assert demo.end(how) == code
    assert "Traceback" not in demo.output
    assert left_running(demo) == []


def test_a_target_that_dies_is_told_and_the_source_stopped(
    start_demo: Callable[..., Demo], warmed_var: Path
) -> None:
    demo = start_demo(var=warmed_var)
    demo.read_until(READY)
    os.kill(demo.pid("target"), signal.SIGKILL)
    assert demo.wait() == 1
    assert "The target site was stopped by SIGKILL" in demo.output.splitlines()[-1]
    assert left_running(demo) == []


@pytest.mark.parametrize("site", ["source", "target"])
def test_a_taken_port_is_one_line_before_anything_starts(
    start_demo: Callable[..., Demo], site: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        demo = start_demo(f"--{site}-port={port}")
        assert demo.wait() == 1
    assert (
        demo.output
        == f"Port {port} is taken. Stop what listens there, or choose another: --{site}-port N.\n"
    )
    assert not demo.var.exists()


@pytest.mark.parametrize(
    ("cache", "variable", "address"),
    [
        ("redis", "DEMO_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("memcached", "DEMO_MEMCACHED", "127.0.0.1:1"),
    ],
)
def test_a_named_server_that_does_not_answer_is_one_line(
    start_demo: Callable[..., Demo], cache: str, variable: str, address: str
) -> None:
    demo = start_demo(f"--cache={cache}", **{variable: address})
    assert demo.wait() == 1
    assert demo.output == f"No {cache.capitalize()} answers at {variable}={address}.\n"
    assert left_running(demo) == []
