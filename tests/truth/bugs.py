"""Bugs of the kind that promise T1 excludes, each put into the real code while a test runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from django.db.models import Max

from fragcache import Fragment, collections, slots, tokens
from fragcache.entry import Entry, Kind
from fragcache.page import Page
from fragcache.reading import filling, pipeline
from fragcache.reading.batch import Batch
from fragcache.rendering import Output
from fragcache.slots import Slot, token_names
from fragcache.store import Store
from fragcache.tokens import Tokens

Bug = Callable[[pytest.MonkeyPatch], None]


def data_before_version(patched: pytest.MonkeyPatch) -> None:
    """The context of an instance is loaded before its version is read."""
    look_up, render_many = pipeline.look_up, filling.render_many
    rendered: dict[tuple[Fragment, str], Output | None] = {}

    def named(fragment: Fragment, arguments: tuple[Any, ...]) -> tuple[Fragment, str]:
        return fragment, fragment.parameters.instance(arguments).encoded

    def rendering_first(batch: Batch, page: Page) -> Any:
        if not batch.fragment.is_local:
            return look_up(batch, page)
        given = [batch.instance(n).arguments for n in range(len(batch.items))]
        outputs = render_many(batch.fragment, given, fresh=True)
        for arguments, output in zip(given, outputs, strict=True):
            rendered[named(batch.fragment, arguments)] = output
        return look_up(batch, page)

    def rendered_already(fragment: Fragment, arguments: Sequence[Any], **_options: Any) -> Any:
        return [rendered[named(fragment, some)] for some in arguments]

    patched.setattr(pipeline, "look_up", rendering_first)
    patched.setattr(filling, "render_many", rendered_already)


def blind_heads(patched: pytest.MonkeyPatch) -> None:
    """A head is set, whatever it replaces."""
    advance_many = Store.advance_many

    def set_blindly(
        self: Store, entries: Mapping[str, Entry], timeout: float | None, *seen: Any
    ) -> set[str]:
        heads = {key: entry for key, entry in entries.items() if entry.kind == Kind.HEAD}
        self.write_many(heads, timeout)
        others = {key: entry for key, entry in entries.items() if key not in heads}
        return advance_many(self, others, timeout, *seen)

    patched.setattr(Store, "advance_many", set_blindly)


def latest_mtime(patched: pytest.MonkeyPatch) -> None:
    """The version of a collection is the latest mtime of its rows."""

    def collection_version(queryset: Any) -> int:
        latest = queryset.aggregate(latest=Max("mtime"))["latest"]
        return 0 if latest is None else round(latest.timestamp() * 1_000_000)

    patched.setattr(collections, "collection_version", collection_version)


def tokens_after_data(patched: pytest.MonkeyPatch) -> None:
    """What is stored is stored under the tokens that are there by then."""
    write_entries = slots.write_entries

    def reading_tokens(store: Store, fragment: Fragment, some: Sequence[Slot]) -> Any:
        for slot in some:
            names = token_names(fragment, slot.instance.encoded)
            slot.tokens = tokens.read(store, names).pair(*names)
        return write_entries(store, fragment, some)

    def allow_storing(_self: Tokens, _names: Iterable[Any], _page: Page) -> bool:
        return True

    patched.setattr(slots, "write_entries", reading_tokens)
    patched.setattr(Tokens, "allow_storing", allow_storing)


BUGS: tuple[Bug, ...] = (data_before_version, blind_heads, latest_mtime, tokens_after_data)
