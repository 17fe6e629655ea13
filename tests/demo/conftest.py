from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.running import Demo, manage, warm


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
        import httpx  # noqa: F401
        import markdown  # noqa: F401
        import nh3  # noqa: F401
        import rest_framework  # noqa: F401
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


@pytest.fixture(scope="session")
def warmed_courses(loaded_courses: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after `warm_fragments`."""
    var = Path(shutil.copytree(loaded_courses, tmp_path_factory.mktemp("warmed") / "var"))
    warm(var)
    return var


@pytest.fixture
def var(loaded_courses: Path, tmp_path: Path) -> Path:
    """A copy of the loaded courses for one test."""
    return Path(shutil.copytree(loaded_courses, tmp_path / "var"))


@pytest.fixture
def warmed_var(warmed_courses: Path, tmp_path: Path) -> Path:
    """A copy of the warmed courses for one test."""
    return Path(shutil.copytree(warmed_courses, tmp_path / "var"))


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """A function that starts the demo, by default in an empty folder."""
    started: list[Demo] = []

    def start(*arguments: str, var: Path = tmp_path / "demo", **changes: str) -> Demo:
        started.append(Demo(var, *arguments, **changes))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.end()
