"""What the tests of the admin's pages share: where they are, what they say, who may see them."""

from __future__ import annotations

import re
from typing import Any

from django.urls import reverse

PERMISSIONS = ("view_fragmentcache", "warm_fragments", "invalidate_fragments", "clear_fragments")


def address(page: str, **query: str) -> str:
    return reverse(f"admin:fragcache_{page}", query=query)


def text_of(answer: Any) -> str:
    """Return what a page says, without its markup, on one line."""
    html = re.sub(r"<(script|style).*?</\1>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
