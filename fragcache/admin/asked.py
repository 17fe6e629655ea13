"""What a request asks of a table: the time looked at, the order, a part of names, the form."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from django.core.exceptions import BadRequest
from django.http import HttpRequest, QueryDict

from fragcache.stats.history import SPANS

FORMATS: Final = ("html", "json", "csv")
TABLES: Final = ("axes", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The query of an address, read; ``own`` has all of it that is known."""

    #: "1h", "24h" or "7d".
    span: str
    #: "html", "json" or "csv".
    form: str
    #: Of a page with two tables, "axes" or "steps".
    table: str
    #: The column to sort by, and the largest first if so.
    column: str
    is_descending: bool
    #: What names must contain.
    contains: str
    page: int
    own: QueryDict

    @classmethod
    def of(cls, request: HttpRequest, *, columns: Collection[str], sort: str) -> Self:
        """Return what a request asks for; ``sort`` is the order that it need not name.

        Raises:
            BadRequest: it asks for what there is not.
        """
        query = request.GET
        order = query.get("sort") or sort
        column = order.removeprefix("-")
        page = query.get("page") or "1"
        return cls(
            span=_one_of("last", query.get("last") or "1h", SPANS),
            form=_one_of("format", query.get("format") or "html", FORMATS),
            table=_one_of("table", query.get("table") or "axes", TABLES),
            column=_one_of("sort", column, columns),
            is_descending=order.startswith("-"),
            contains=query.get("q", "").strip(),
            page=int(page) if page.isdecimal() and len(page) < 10 else 1,
            own=query,
        )

    def link(self, **changes: str | None) -> str:
        """Return the query of the same page with other values; None leaves one away."""
        query = self.own.copy()
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = value
        return f"?{query.urlencode()}"


def _one_of(name: str, given: str, allowed: Collection[str]) -> str:
    if given not in allowed:
        raise BadRequest(f"{name}={given!r}: it must be one of {', '.join(allowed)}.")
    return given
