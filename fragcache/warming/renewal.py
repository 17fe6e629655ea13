"""Renewal: one instance that was shown stale, rendered by a worker that JSON tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fragcache import axes, page, registry
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.exceptions import FragmentMissing
from fragcache.reading.api import get_fragment
from fragcache.warming.distributed.splitting import axis_texts, packed_value
from fragcache.warming.parts import Arguments


def described(
    fragment: Fragment, instance: Instance, axis_values: Mapping[str, Any], using: str | None
) -> dict[str, Any]:
    """Return what ``renew`` has to be told, as JSON takes it.

    Raises:
        CannotEnqueue: an argument or a value of an axis has no form in JSON.
    """
    return {
        "fragment": fragment.name,
        "arguments": [packed_value(fragment, value) for value in instance.arguments],
        "axis_values": axis_texts(axis_values),
        "using": using,
    }


def renew(described: Mapping[str, Any]) -> str:
    """Render and store an instance if it is due; return what became of it.

    Raises:
        UnknownFragment: this worker declares no fragment of that name.
        Whatever the site's code does.
    """
    fragment = registry.get(described["fragment"])
    values = described["axis_values"].items()
    axis_values = {name: axes.get(name).from_text(text) for name, text in values}
    for arguments in Arguments([described["arguments"]]).loaded():
        # Nobody waits, and what is stale does not do.
        with axes.activated(axis_values), page.entered(page.of_request()) as current:
            current.is_visited = False
            try:
                get_fragment(fragment, *arguments, using=described["using"])
            except FragmentMissing:
                return "its row is gone"
            finally:
                current.finish()
        return "fresh"
    return "its row is gone"
