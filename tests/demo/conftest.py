from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.running import Demo, manage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.skipif(
                    not is_installed(), reason="needs the demo: pip install '.[demo]'"
                )
            )


def is_installed() -> bool:
    try:
        import markdown  # noqa: F401
        import nh3  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.fixture(scope="session")
def loaded_courses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source's database as `load_courses` makes it, to be copied."""
    var = tmp_path_factory.mktemp("loaded")
    manage(var, "migrate", "--verbosity=0")
    manage(var, "load_courses")
    return var


@pytest.fixture
def var(loaded_courses: Path, tmp_path: Path) -> Path:
    """A copy of the loaded courses for one test."""
    return Path(shutil.copytree(loaded_courses, tmp_path / "var"))


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str, **changes: str) -> Demo:
        started.append(Demo(tmp_path / "demo", *arguments, **changes))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.end()
