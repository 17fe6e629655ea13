"""The client of the source's API."""

from functools import cache

import httpx
from django.conf import settings

from common.page_cost import count_request


class SourceUnavailable(Exception):
    """The source gave no key; the message says why."""


def music_context_key() -> str:
    """Ask the source to publish the music; return the key of its context.

    Raises:
        SourceUnavailable: it does not answer in time, or with anything but a key.
    """
    try:
        response = client().get("/api/v1/music_context/")
        response.raise_for_status()
        key = response.json()["key"]
    except httpx.HTTPStatusError as error:
        answered = f"{error.response.status_code} {error.response.reason_phrase}"
        raise SourceUnavailable(f"It answers with status {answered}.") from error
    except httpx.TimeoutException as error:
        raise SourceUnavailable("It does not answer in time.") from error
    except httpx.HTTPError as error:
        raise SourceUnavailable("It cannot be reached.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailable("Its answer is no key.") from error
    if not isinstance(key, str):
        raise SourceUnavailable("Its answer is no key.")
    return key


@cache
def client() -> httpx.Client:
    """Return one for the process, which keeps connections open."""
    return httpx.Client(
        base_url=settings.DEMO_SOURCE_URL,
        headers={"X-Api-Key": settings.DEMO_API_KEY},
        # A visitor waits meanwhile.
        timeout=httpx.Timeout(settings.DEMO_SOURCE_TIMEOUT, connect=0.5),
        # No proxy of the environment stands between two sites of one machine.
        trust_env=False,
        event_hooks={"request": [count_request]},
    )
