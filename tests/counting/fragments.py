"""Fragments of numbers; each process renders numbers of its own, and some that all ask for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.utils import translation

from fragcache import fragment

#: What was rendered, by fragment and language.
rendered: Counter[tuple[str, str]] = Counter()


@fragment("number.html", name="counting.versioned", version=lambda _n: 1)
def versioned(n: int) -> dict[str, Any]:
    rendered["counting.versioned", translation.get_language()] += 1
    return {"n": n}


@fragment("number.html", name="counting.headed")
def headed(n: int) -> dict[str, Any]:
    rendered["counting.headed", translation.get_language()] += 1
    return {"n": n}
