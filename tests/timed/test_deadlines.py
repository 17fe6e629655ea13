"""Deadlines: sockets that wait no longer in all, and what they say of the server."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from fragcache import deadline
from fragcache.backends.timed_socket import TimedSocket, connecting
from fragcache.deadline import GRACE, SLOW
from tests.pages import later
from tests.stopwatch import Stopwatch
from tests.threads import busy_threads

#: Seconds: what a call may take, and what a busy machine adds.
LIMIT = 0.1
SLACK = 0.3
#: How often a time is measured before it is believed to be wrong.
ATTEMPTS = 4


@pytest.fixture
def ends() -> Iterator[tuple[TimedSocket, socket.socket]]:
    """A timed socket whose usual time-out is long, and the server's end."""
    mine, server = socket.socketpair()
    mine.settimeout(5)
    timed = TimedSocket.over(mine)
    with timed, server:
        yield timed, server


@pytest.fixture
def tcp_ends() -> Iterator[tuple[TimedSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        timed = TimedSocket.over(socket.create_connection(listener.getsockname()))
        server, _address = listener.accept()
    with timed, server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield timed, server


def trickle(server: socket.socket, pause: float, number: int = 20) -> threading.Thread:
    def send() -> None:
        for _byte in range(number):
            time.sleep(pause)
            server.sendall(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def read_all(timed: TimedSocket) -> None:
    while True:
        timed.recv_into(bytearray(10))


def test_a_time_out_begins_anew_with_each_byte_and_a_deadline_does_not(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, server = ends
    sender = trickle(server, LIMIT / 4)
    with (
        Stopwatch() as watch,
        deadline.within(LIMIT) as limit,
        pytest.raises(TimeoutError, match="timed out"),
    ):
        read_all(timed)
    assert watch.elapsed >= LIMIT
    assert watch.seconds < LIMIT + SLACK
    assert limit.was_missed
    sender.join()


def test_waiting_for_nothing_is_in_vain(ends: tuple[TimedSocket, socket.socket]) -> None:
    timed, _server = ends
    for _attempt in range(ATTEMPTS):
        with deadline.within(LIMIT) as limit, pytest.raises(TimeoutError):
            timed.recv(10)
        if limit.in_vain <= LIMIT + SLOW:
            break
    assert LIMIT * 0.8 <= limit.in_vain <= LIMIT + SLOW
    assert timed.gettimeout() == 5


def test_what_is_there_is_read_also_by_a_thread_that_comes_too_late(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, server = ends
    server.sendall(b"ab")
    with deadline.within(0) as limit:
        assert timed.recv(1) == b"a"
        assert timed.recv(1) == b"b"
        assert (limit.in_vain, limit.was_missed) == (0.0, False)
        with pytest.raises(TimeoutError):
            timed.recv(1)
    assert limit.in_vain == 0.0


def test_a_thread_that_comes_too_late_waits_shortly_once(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, _server = ends
    with deadline.within(0) as limit, pytest.raises(TimeoutError):
        timed.recv(1)
    assert limit.in_vain == SLOW


def test_what_a_thread_lost_otherwise_is_given_back() -> None:
    with deadline.within(LIMIT) as limit:
        limit.count(0.01, 10.0)
        assert 5 < limit.left < 10 + LIMIT
        assert limit.waited == 0.01


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not say since when")
def test_waiting_for_the_server_is_counted_also_among_busy_threads(
    tcp_ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, server = tcp_ends
    sender = trickle(server, 3 * LIMIT, 4)
    with busy_threads(), deadline.within(5) as limit:
        for _reply in range(4):
            assert timed.recv(1) == b"x"
    sender.join()
    assert limit.waited is not None
    assert limit.waited > 3 * LIMIT


def test_sending_more_than_the_kernel_takes_is_waited_for(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, server = ends
    received: list[int] = []

    def receive() -> None:
        time.sleep(LIMIT)
        while sum(received) < 10**7:
            received.append(len(server.recv(2**20)))

    receiver = threading.Thread(target=receive)
    receiver.start()
    with deadline.within(5) as limit:
        timed.sendall(bytes(10**7))
    receiver.join()
    assert limit.waited is not None
    assert limit.waited > LIMIT / 2


def test_an_endless_reply_has_an_end(ends: tuple[TimedSocket, socket.socket]) -> None:
    timed, server = ends
    server.sendall(b"ab")
    with deadline.within(LIMIT):
        assert timed.recv(1) == b"a"
        with later(LIMIT + GRACE), pytest.raises(TimeoutError):
            timed.recv(1)


def test_sending_is_bounded_as_a_whole(ends: tuple[TimedSocket, socket.socket]) -> None:
    timed, _server = ends
    with (
        Stopwatch() as watch,
        deadline.within(LIMIT) as limit,
        pytest.raises(TimeoutError, match="timed out"),
    ):
        timed.sendall(bytes(10**7))
    assert watch.elapsed >= LIMIT
    assert watch.seconds < LIMIT + SLACK
    assert limit.was_missed
    assert limit.in_vain > 0
    assert timed.gettimeout() == 5


def test_without_a_deadline_the_usual_time_out_holds(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, server = ends
    timed.settimeout(LIMIT)
    with pytest.raises(TimeoutError):
        timed.recv(1)
    with pytest.raises(TimeoutError):
        timed.sendall(bytes(10**7))
    assert server.recv(10)


def test_the_usual_time_out_holds_where_it_is_sooner(
    ends: tuple[TimedSocket, socket.socket],
) -> None:
    timed, _server = ends
    timed.settimeout(LIMIT)
    with Stopwatch() as watch, deadline.within(10), pytest.raises(TimeoutError):
        timed.recv(1)
    assert watch.seconds < LIMIT + SLACK


def test_looking_does_not_wait(ends: tuple[TimedSocket, socket.socket]) -> None:
    timed, _server = ends
    timed.settimeout(0)
    with deadline.within(10), pytest.raises(BlockingIOError):
        timed.recv(1)


@pytest.mark.parametrize(
    ("usual", "left", "expected"), [(5, 1, 1), (0.5, 1, 0.5), (None, 1, 1), (5, 0, SLOW)]
)
def test_connecting_takes_what_is_left(usual: float | None, left: float, expected: float) -> None:
    for _attempt in range(ATTEMPTS):
        with deadline.within(left), connecting(usual) as seconds:
            pass
        if is_near := seconds == pytest.approx(expected, abs=0.05):
            break
    assert is_near, seconds
    with connecting(usual) as seconds:
        assert seconds == usual


def test_connecting_in_vain_is_counted() -> None:
    for _attempt in range(ATTEMPTS):
        with deadline.within(LIMIT) as limit, pytest.raises(TimeoutError), connecting(None):
            raise TimeoutError
        assert limit.was_missed
        if is_near := limit.in_vain == pytest.approx(LIMIT, abs=0.05):
            break
    assert is_near, limit.in_vain


def test_deadlines_end_with_their_block() -> None:
    with deadline.within(2) as outer:
        with deadline.within(1) as inner:
            assert deadline.current() is inner
        assert deadline.current() is outer
    assert deadline.current() is None
