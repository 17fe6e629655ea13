"""``OPTIONS`` of the backends that know all of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def options_of(
    backend: str, params: Mapping[str, Any], defaults: Mapping[str, Any], further: Iterable[str]
) -> dict[str, Any]:
    """Return what CACHES gives a backend over its defaults; ``further`` have none.

    Raises:
        ImproperlyConfigured: an option is none of them; names it.
    """
    given = params.get("OPTIONS") or {}
    known = [*defaults, *further]
    for name in given:
        if name not in known:
            raise ImproperlyConfigured(
                f"OPTIONS[{name!r}] is none of {backend}. It takes {', '.join(known)}."
            )
    return {**defaults, **given}
