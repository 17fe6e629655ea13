"""The board: what is kept of flights that ended, and for how long."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import pytest

from fragcache.reading.board import KEPT_CHARACTERS, KEPT_SECONDS, Board
from tests.flying import SOON


class TestWhatIsKept:
    def land(self, board: Board, name: str, html: str) -> None:
        keys = {name: ("", name, "", b"")}
        boarding = board.begin(keys, {name}, time.monotonic(), time.monotonic() + SOON)
        board.end(keys, boarding.own, {name: html})

    def test_is_bounded(self) -> None:
        board = Board()
        for n in range(100):
            self.land(board, f"{n}", "x" * (KEPT_CHARACTERS // 10))
        self.land(board, "large", "x" * (KEPT_CHARACTERS + 1))

        assert board._characters == sum(len(kept.html) for kept in board._landed.values())
        assert list(board._landed) == [("", f"{n}", "", b"") for n in range(90, 100)]

    def test_is_dropped_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        board = Board()
        self.land(board, "former", "x")
        later = time.monotonic() + KEPT_SECONDS
        monkeypatch.setattr(time, "monotonic", lambda: later)
        self.land(board, "latter", "y")

        assert list(board._landed) == [("", "latter", "", b"")]
        assert board._characters == 1

    def test_is_not_looked_through_whenever_a_flight_ends(self) -> None:
        seen = []

        class Watched(OrderedDict[Any, Any]):
            def items(self) -> Any:
                for pair in super().items():
                    seen.append(pair)
                    yield pair

        board = Board()
        board._landed = Watched()
        for n in range(1_000):
            self.land(board, f"{n}", "x")

        assert len(board._landed) == 1_000
        assert len(seen) == 1_000
