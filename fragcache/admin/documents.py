"""Tables for programs, with the numbers as they are: JSON and CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.http import HttpResponse, JsonResponse

from fragcache.events import Miss
from fragcache.management.actions.stats import described_account, reason_in_words
from fragcache.stats.ledger import Account

#: With one of these, a cell would be a formula to a spreadsheet.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def record(account: Account) -> dict[str, Any]:
    """Return an account as ``fragments stats --json`` has it, with each reason of misses."""
    misses = {reason_in_words(reason): account.misses.get(reason, 0) for reason in Miss}
    return described_account(account) | {"misses": misses}


def document(
    form: str, rows: Sequence[Mapping[str, Any]], *, name: str, about: Mapping[str, Any]
) -> HttpResponse:
    """Return rows as a document; ``form`` is "json", which has ``about`` too, or "csv"."""
    if form == "json":
        return JsonResponse({"format": 1, **about, "rows": list(rows)})
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    file_name = re.sub(r"[^\w.-]", "_", f"fragcache-{name}.csv", flags=re.ASCII)
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    flat = [dict(_flattened(row)) for row in rows]
    writer = csv.writer(answer)
    if flat:
        writer.writerow(flat[0])
        writer.writerows([_harmless(value) for value in row.values()] for row in flat)
    return answer


def _flattened(row: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {inner}", one) for inner, one in value.items())
        else:
            yield name, value


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
