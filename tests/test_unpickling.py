"""The guard against pickles sees what it has to, and leaves alone what is none of its business."""

from __future__ import annotations

import importlib
import marshal
import pickle
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import unpickling
from tests.unpickling import Unpickled

DATA = pickle.dumps(Decimal(1))
CODE = marshal.dumps(compile("1", "", "eval"))


def through(module: str, call: Callable[[], Any]) -> Any:
    """Return what a call gives that comes from a module of that name."""
    space: dict[str, Any] = {"__name__": module, "call": call}
    exec("def run():\n    return call()", space)
    return space["run"]()


@pytest.mark.parametrize(
    "load",
    [
        lambda: pickle.loads(DATA),
        lambda: pickle._loads(DATA),  # type: ignore[attr-defined]  # in Python
        lambda: pickle.loads(pickle.dumps(Decimal(1), 0)),
        lambda: marshal.loads(CODE),
    ],
    ids=["pickle in C", "pickle in Python", "protocol 0", "marshal"],
)
def test_what_fragcache_loads_is_refused(load: Callable[[], Any]) -> None:
    assert load() is not None
    for module in ("fragcache", "fragcache.backends.raw"):
        with pytest.raises(Unpickled, match=f"through {module}$"):
            through(module, lambda: through("somebody.else", load))
    assert len(unpickling.taken()) == 2
    assert unpickling.taken() == []


def test_in_another_thread_and_swallowed_it_is_still_told() -> None:
    def read() -> None:
        with pytest.raises(Unpickled):
            through("fragcache.store", lambda: pickle.loads(DATA))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert unpickling.taken() == ["pickle.find_class of decimal.Decimal, through fragcache.store"]


@pytest.mark.parametrize("module", ["multiprocessing.connection", "fragcache.warming.worker"])
def test_what_processes_tell_each_other_is_theirs(module: str) -> None:
    found = through("fragcache.warming.crews", lambda: through(module, lambda: pickle.loads(DATA)))
    assert found == Decimal(1)


def test_modules_that_are_imported_late_are_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_late.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    for _compiled in range(2):
        importlib.invalidate_caches()
        late = through("fragcache.registry", lambda: importlib.import_module("imported_late"))
        assert late.answer == 42
        del sys.modules["imported_late"]
