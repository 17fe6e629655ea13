"""How a batch of commands is cut into what is sent at once."""

from __future__ import annotations

import pytest

from fragcache.backends.pieces import in_pieces


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([], []),
        ([b"ab"], [b"ab"]),
        ([b"ab", b"c"], [b"abc"]),
        ([b"ab", b"c", b"d"], [b"abc", b"d"]),
        ([b"abcdef", b"g"], [b"abcdef", b"g"]),
    ],
)
def test_a_piece_ends_with_the_command_that_reaches_its_size(
    commands: list[bytes], expected: list[bytes]
) -> None:
    assert list(in_pieces(commands, 3)) == expected
