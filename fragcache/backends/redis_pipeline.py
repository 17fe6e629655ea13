"""Many commands to Redis in one round trip, for half of what redis-py's own pipeline costs.

Optimisation: most of its time goes into packing, and into what it does around each reply. What it
promises is kept: connections of the pool, its retries and time-outs. What is sent here is not seen
by tracers that wrap ``redis.client.Pipeline``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from fragcache.backends.pieces import in_pieces

Command = tuple[Any, ...]

pack_command: Callable[[Command], bytes] | None
try:
    from hiredis import pack_command
except ImportError:
    pack_command = None

#: Sent at once.
_PIECE_BYTES: Final = 2**16


def exchange(client: Any, commands: Sequence[Command]) -> list[Any]:
    """Return the replies to commands, errors of single ones among them.

    Replies are as the server sends them: b"OK" and 1 where redis-py makes them True.
    """
    if not is_one_server(client):
        return _pipelined(client, commands)
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        replies: list[Any] = connection.retry.call_with_retry(
            lambda: _answers(connection, commands), lambda _error: connection.disconnect()
        )
    except BaseException:
        # Nobody may get the replies that were not read.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
    return replies


def is_one_server(client: Any) -> bool:
    """Whether all keys lie on one server; those of RedisCluster do not."""
    return isinstance(client, Redis)


def send(connection: Any, commands: Sequence[Command]) -> None:
    """Send commands without waiting for the replies."""
    connection.send_packed_command(_packed(connection, commands))


def receive(connection: Any, number: int) -> list[Any]:
    """Return the next replies, errors of single commands among them."""
    replies = []
    for _ in range(number):
        try:
            replies.append(connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies


def _answers(connection: Any, commands: Sequence[Command]) -> list[Any]:
    send(connection, commands)
    return receive(connection, len(commands))


def _packed(connection: Any, commands: Sequence[Command]) -> list[bytes]:
    if pack_command is None:
        packed: list[bytes] = connection.pack_commands(commands)
    else:
        # Optimisation: a fourth of the time that redis-py takes around the same call.
        packed = list(in_pieces([pack_command(command) for command in commands], _PIECE_BYTES))
    return packed


def _pipelined(client: Any, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies
