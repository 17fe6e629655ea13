"""What a process knows of tokens, of which stamps may be many."""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Any

import pytest

from fragcache.records import Token
from fragcache.token_memory import Memory, TokenName

CARD = TokenName("library.card")


class Unwalked(dict[Any, Any]):
    def items(self) -> ItemsView[Any, Any]:
        pytest.fail("All were looked at.")


def test_the_oldest_is_found_without_a_look_at_every_stamp() -> None:
    memory = Memory()
    stamps = [TokenName(CARD.fragment, f"i{n}") for n in range(3)]
    memory.note("fragments", dict.fromkeys(stamps, Token.first(1)), 1.0)
    assert memory.oldest("fragments") is None
    memory.note("fragments", {CARD: Token.first(1)}, 1.0)
    memory.note("fragments", {TokenName("library.later"): Token.first(1)}, 1.0)
    memory._known = Unwalked(memory._known)

    assert memory.oldest("fragments") == CARD
    assert memory.oldest("others") is None
    memory.forget()
    assert memory.oldest("fragments") is None
