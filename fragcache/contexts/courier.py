"""The courier: questions on their way to the source, by one connection and thread per process.

The time-outs of HTTP clients begin anew with every byte that arrives, so that a source which
trickles is waited for without end. In an event loop of its own a question has an end by the clock,
whatever it waits for; and all threads of the process share one connection of HTTP/2. Who asked
waits as long as it can afford, and the question goes on: what the source publishes meanwhile is
there for the next page.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fragcache.chance import new_random
from fragcache.contexts.credentials import signed
from fragcache.exceptions import ExtraMissing
from fragcache.locks import new_lock

if TYPE_CHECKING:
    import httpx

#: Seconds for a connection to be made, of all those that a question has.
CONNECT_SECONDS: Final = 1.0
#: Seconds before the one retry, and by what part they vary.
RETRY_PAUSE: Final = 0.02
JITTER: Final = 0.5
#: Answers that a source gives which may be well at the next attempt.
UNAVAILABLE: Final = frozenset({502, 503, 504})
#: Questions on their way at a time; those beyond are not asked.
MOST: Final = 400
#: The most of them in one request, and their bytes.
TOGETHER: Final = 100
TOGETHER_BYTES: Final = 60_000
#: The most that is read of an answer.
MAX_BYTES: Final = 128 * 2**10
_OK: Final = 200
_NOT_UNDERSTOOD: Final = 422
#: Seconds for which a source that answers one question only is not asked several together.
ONE_BY_ONE: Final = 600.0
_random: Final = new_random()


class Reply(NamedTuple):
    """What came back; the status is 0 where nothing did."""

    status: int
    document: Mapping[str, Any]
    #: Seconds after which the source wants to be asked again; 0 where it says nothing.
    retry_after: float = 0.0
    #: Why there is none, as the class of the error.
    problem: str = ""


class Courier:
    """Asks one source; made once per process, since no thread survives a fork."""

    def __init__(self, url: str, key: str, seconds: float) -> None:
        """``seconds`` are all that a question has, with its retry."""
        require()
        self.pid = os.getpid()
        self._url = url
        self._key = key
        self._seconds = seconds
        self._lock = new_lock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._client: httpx.AsyncClient | None = None
        self._on_the_way: dict[bytes, Future[Reply]] = {}
        #: Until when each question is a request, in ``time.monotonic()``.
        self._one_by_one_until = 0.0
        #: Of the loop's thread.
        self._tasks: set[asyncio.Task[Any]] = set()
        name = "fragcache asking the source"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def ask(self, bodies: Sequence[bytes], seconds: float) -> list[Reply | None]:
        """Return the replies in order, None for those that have not come in so many seconds."""
        futures = self._sent(bodies)
        wait([future for future in futures if future is not None], timeout=seconds)
        return [_reply_of(future) for future in futures]

    def probe(self) -> Reply:
        """Return what the source says to a question that it refuses."""
        with self._lock:
            future = self._begun(None)
        return Reply(0, {}, problem="closed") if future is None else future.result()

    def close(self) -> None:
        """Give up what is on its way, and the connection."""
        with self._lock:
            self._is_closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(1)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _sent(self, bodies: Sequence[bytes]) -> list[Future[Reply] | None]:
        """Return the replies to come; of threads that ask the same, one asks."""
        with self._lock:
            room = MOST - len(self._on_the_way)
            new = [body for body in dict.fromkeys(bodies) if body not in self._on_the_way][:room]
            if not self._is_closed:
                self._on_the_way |= {body: Future() for body in new}
                for together in _portions(new):
                    asyncio.run_coroutine_threadsafe(self._answer(together), self._loop)
            return [self._on_the_way.get(body) for body in bodies]

    async def _answer(self, bodies: Sequence[bytes]) -> None:
        """Ask, and give each question's future its reply."""
        replies: Sequence[Reply] = [Reply(0, {}, problem="closed")] * len(bodies)
        try:
            replies = await self._replies_to(bodies)
        finally:
            with self._lock:
                futures = [self._on_the_way.pop(body) for body in bodies]
            for future, reply in zip(futures, replies, strict=True):
                future.set_result(reply)

    async def _replies_to(self, bodies: Sequence[bytes]) -> Sequence[Reply]:
        if len(bodies) > 1 and time.monotonic() >= self._one_by_one_until:
            reply = await self._reply_to(b'{"questions":[' + b",".join(bodies) + b"]}")
            if reply.status != _NOT_UNDERSTOOD:
                return _each(reply, len(bodies))
            # A source of an earlier release.
            self._one_by_one_until = time.monotonic() + ONE_BY_ONE
        return await asyncio.gather(*map(self._reply_to, bodies))

    def _begun(self, body: bytes | None) -> Future[Reply] | None:
        if self._is_closed:
            return None
        return asyncio.run_coroutine_threadsafe(self._reply_to(body), self._loop)

    async def _reply_to(self, body: bytes | None) -> Reply:
        import httpx

        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._attempt(body)
                if reply.status in {0, *UNAVAILABLE} and body is not None:
                    await asyncio.sleep(RETRY_PAUSE * _random.uniform(1 - JITTER, 1 + JITTER))
                    reply = await self._attempt(body)
                return reply
        except asyncio.CancelledError:
            return Reply(0, {}, problem="closed")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Reply(0, {}, problem=type(error).__name__)
        finally:
            self._tasks.discard(task)

    async def _attempt(self, body: bytes | None) -> Reply:
        import httpx

        client = self._connected()
        try:
            if body is None:
                async with client.stream("GET", self._url) as response:
                    return Reply(response.status_code, {})
            request = client.build_request("POST", self._url, content=body)
            path = request.url.raw_path.decode("ascii")
            request.headers["Authorization"] = signed(self._key, "POST", path, body)
            request.headers["Content-Type"] = "application/json"
            response = await client.send(request, stream=True)
            try:
                return await _read(response)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            return Reply(0, {}, problem=type(error).__name__)

    def _connected(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            timeout = httpx.Timeout(self._seconds, connect=min(CONNECT_SECONDS, self._seconds))
            # As it is: a few compressed bytes may become more than there is memory.
            headers = {"Accept-Encoding": "identity"}
            self._client = httpx.AsyncClient(http2=True, timeout=timeout, headers=headers)
        return self._client

    async def _end(self) -> None:
        given_up = list(self._tasks)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        self._loop.stop()


def require() -> None:
    """See that the library is installed, with HTTP/2.

    Raises:
        ExtraMissing: it is not.
    """
    # Importing them takes longer than a page has: that is left to the thread of the courier.
    if not all(map(find_spec, ("httpx", "h2"))):
        raise ExtraMissing(
            "FRAGCACHE['SOURCE'] is asked with httpx and h2, which are not installed: "
            "pip install 'fragcache[target]'."
        )


def _reply_of(future: Future[Reply] | None) -> Reply | None:
    if future is None or not future.done() or future.cancelled():
        return None
    return future.result()


def _portions(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield questions by requests."""
    portion: list[bytes] = []
    for body in bodies:
        if len(portion) == TOGETHER or sum(map(len, [*portion, body])) > TOGETHER_BYTES:
            yield portion
            portion = []
        portion.append(body)
    if portion:
        yield portion


def _each(reply: Reply, number: int) -> list[Reply]:
    """Return the reply to each of so many questions that were asked together."""
    answers = reply.document.get("answers")
    if not isinstance(answers, list) or len(answers) != number:
        return [reply] * number
    return [_one_of_many(answer) for answer in answers]


def _one_of_many(answer: Any) -> Reply:
    if not isinstance(answer, dict):
        return Reply(_OK, {})
    status, after = answer.get("status", _OK), answer.get("retry_after", 0)
    is_number = isinstance(status, int) and isinstance(after, int)
    return Reply(status, answer, float(after)) if is_number else Reply(_OK, {})


async def _read(response: httpx.Response) -> Reply:
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_BYTES:
            break
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = {}
    after = response.headers.get("Retry-After", "")
    return Reply(
        response.status_code,
        document if isinstance(document, dict) else {},
        float(after) if after.isascii() and after.isdecimal() and len(after) < 6 else 0.0,
    )
