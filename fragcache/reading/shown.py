"""What the template tags print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import mail
from django.http import HttpRequest

from fragcache.bubbling import note_unstorable
from fragcache.counters import Event, degrade
from fragcache.exceptions import InvalidArguments, UndefinedArgument
from fragcache.reading.api import Reference, get_fragments


def shown_fragments(
    f: Reference,
    items: Sequence[Any],
    *,
    request: HttpRequest | None = None,
    undefined: Sequence[str] = (),
    **kwargs: Any,
) -> list[str]:
    """Return the HTML of instances for a page, "" for those that are not to be had.

    ``undefined`` names the arguments that did not resolve: one visitor's data could be kept for
    all under the key of nothing, so what they give is rendered and not stored.

    Raises:
        UndefinedArgument: instead, in DEBUG and in tests.
    """
    if not undefined:
        return get_fragments(f, items, request=request, default="", **kwargs)
    message = (
        f"{{% fragment {f!r} %}}: {', '.join(undefined)} does not resolve. Is it misspelled, or "
        "not passed to this template? Where it may be absent, add |default:None."
    )
    if settings.DEBUG or hasattr(mail, "outbox"):  # Django's test runner makes an outbox
        raise UndefinedArgument(message)
    note_unstorable()
    degrade(Event.UNDEFINED_ARGUMENT, str(f), message, "%s", message)
    try:
        return get_fragments(f, items, request=request, default="", storable=False, **kwargs)
    except InvalidArguments:
        return [""]
