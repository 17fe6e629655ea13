"""fragcache: ``{% fragments %}`` for a page, ``{% fragment %}`` for a page of one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial

from django.test import override_settings

from benchmarks.contenders import opening
from benchmarks.contenders.templates import row
from benchmarks.contenders.without_counters import without_counters
from benchmarks.rows import Row
from benchmarks.servers import Stand

MANY = "{% load fragcache %}{% fragments 'cards.card' cards %}"
ONE = "{% load fragcache %}{% fragment 'cards.card' cards.0 %}"
OFF = ", local cache off"
UNCOUNTED = ', `STATS` "off"'
BARE = ", no counters or guard"

Around = Callable[[], AbstractContextManager[object]]


def rows(server: Stand, n: int) -> list[Row]:
    """Return the tags with the local cache and without; at N=100 what parts of the work cost."""
    alias = f"fragcache-{server.name}"
    local, remote = partial(_configured, alias), partial(_configured, alias, LOCAL_MAX_BYTES=0)
    many = row("fragments", "`{% fragments %}`", MANY)
    shown = [
        replace(many, around=local),
        replace(many, key="fragments-remote", label=many.label + OFF, around=remote),
    ]
    if n == 1:
        one = row("fragment", "`{% fragment %}`", ONE, is_plotted=False)
        shown += [
            replace(one, around=local),
            replace(one, key="fragment-remote", label=one.label + OFF, around=remote),
        ]
    if n == 100 and server.name != "locmem":
        part = replace(many, is_cold=False, is_plotted=False)
        shown += [
            replace(part, key="fragments-bare", label=many.label + BARE, around=_bare(local)),
            replace(
                part,
                key="fragments-remote-bare",
                label=many.label + OFF + BARE,
                around=_bare(remote),
            ),
            replace(
                part,
                key="fragments-uncounted",
                label=many.label + UNCOUNTED,
                around=partial(_configured, alias, STATS="off"),
            ),
            replace(
                part,
                key="fragments-remote-uncounted",
                label=many.label + OFF + UNCOUNTED,
                around=partial(_configured, alias, LOCAL_MAX_BYTES=0, STATS="off"),
            ),
            *opening.rows(),
        ]
    return shown


def _configured(alias: str, **settings: int | str) -> AbstractContextManager[object]:
    return override_settings(FRAGCACHE={"CACHE_ALIAS": alias, **settings})


def _bare(configured: Around) -> Around:
    def around() -> AbstractContextManager[object]:
        stack = ExitStack()
        stack.enter_context(configured())
        stack.enter_context(without_counters())
        return stack

    return around
