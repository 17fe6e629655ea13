"""Batches of commands cut into what is sent at once.

The time-out of a socket is for one call of ``sendall``, not for a batch of any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def in_pieces(commands: Sequence[bytes], size: int) -> Iterator[bytes]:
    """Yield the commands, joined to pieces that end with the one that reaches ``size`` bytes."""
    piece, length = [], 0
    for command in commands:
        piece.append(command)
        length += len(command)
        if length >= size:
            yield b"".join(piece)
            piece, length = [], 0
    if piece:
        yield b"".join(piece)
