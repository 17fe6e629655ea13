"""fragcache without what only watches: counters, log lines and the guard."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from fragcache import counters, guard
from fragcache.reading import counting

#: Calls nothing but what it stands around.
Stub = Callable[..., Any]


@contextmanager
def without_counters() -> Iterator[list[str]]:
    """Replace what counts, logs and shields by no-ops; yield the names that were replaced."""
    stubs = {id(function): stub for function, stub in _stubs().items()}
    with ExitStack() as stack:
        replaced = []
        for module_name, module in sorted(sys.modules.items()):
            if module_name.partition(".")[0] != "fragcache":
                continue
            # A hot path may have imported the function under any name.
            for name, value in list(vars(module).items()):
                if id(value) in stubs:
                    stack.enter_context(mock.patch.object(module, name, stubs[id(value)]))
                    replaced.append(f"{module_name}.{name}")
        yield replaced


def _stubs() -> dict[Callable[..., Any], Stub]:
    """Return no-ops for what returns nothing and counts, and an open door for the guard."""
    watching = [
        function
        for module in (counters, counting)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and name != "reset"
        and function.__annotations__.get("return") in {None, "None"}
    ]
    shields = [guard.reading, guard.writing]
    return dict.fromkeys(watching, _nothing) | dict.fromkeys(shields, _unshielded)


def _nothing(*_args: object, **_kwargs: object) -> None:
    return None


def _unshielded(
    _cache: object, _fallback: object, call: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    return call(*args, **kwargs)
