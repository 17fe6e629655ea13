"""States: what the versions and code of inner instances are now."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence

from fragcache import packing, registry, versions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.dependencies import ABSENT, Dependency, state_of
from fragcache.digests import digest_of
from fragcache.entry import Entry
from fragcache.manifest import RemoteFragment
from fragcache.page import Page, Wanted
from fragcache.reading.fetching import fetch
from fragcache.reading.resolving import find
from fragcache.records import Head
from fragcache.store import store

logger = logging.getLogger("fragcache")


def current_states(shown: Collection[Dependency], page: Page) -> dict[Dependency, str]:
    """Return the states of the inner instances now, "" where that cannot be told.

    Those of blocks, which have none, are left out. One query for each fragment.
    """
    by_name: dict[str, list[Dependency]] = {}
    for one in shown:
        if one.fragment:
            by_name.setdefault(one.fragment, []).append(one)
    states: dict[Dependency, str] = {}
    for name, own in by_name.items():
        if any(one.heads for one in own):
            states |= _by_heads(own, page)
            continue
        fragment = registry.find(name)
        states |= dict.fromkeys(own, "") if fragment is None else _by_versions(fragment, own, page)
    return states


def _by_versions(
    fragment: Fragment, own: Sequence[Dependency], page: Page
) -> dict[Dependency, str]:
    asked = list(dict.fromkeys(item for one in own for item in one.instances))
    try:
        digest = digest_of(fragment)
        found = dict(zip(asked, _versions(fragment, asked, page), strict=True))
    except Exception as error:
        logger.debug("The versions of %s cannot be told.", fragment.name, exc_info=error)
        return dict.fromkeys(own, "")
    return {one: state_of([digest, *map(found.__getitem__, one.instances)]) for one in own}


def _versions(fragment: Fragment, asked: Sequence[int | str], page: Page) -> list[str]:
    """Return the versions of instances by what they are asked for, ABSENT for no row."""
    if not asked:
        return []
    if (paths := fragment.version_paths) is not None:
        keys = [fragment.parameters.primary_key(key) for key in asked]
        of_keys = versions.of_keys(fragment, keys, paths, page)
        return [_encoded(of_keys.get(key)) for key in keys]
    loaded = packing.loaded([json.loads(str(item)) for item in asked])
    given = [Instance(arguments, "") for arguments in loaded if arguments is not None]
    computed = iter(versions.of_instances(fragment, given, page))
    return [ABSENT if arguments is None else _encoded(next(computed)) for arguments in loaded]


def _encoded(version: versions.Version | None) -> str:
    return ABSENT if version is None else version.encoded


def _by_heads(own: Sequence[Dependency], page: Page) -> dict[Dependency, str]:
    """Return the states of what a source renders, which heads tell."""
    states = {}
    for one in own:
        cache = store(one.alias)
        memory = page.memory(cache.space)
        fragment = find(one.fragment, one.alias)
        if memory.heads.keys() < set(one.heads):
            fetch(cache, page, Wanted(heads=dict.fromkeys(one.heads, ("", None))))
        digest = fragment.digest if isinstance(fragment, RemoteFragment) else ""
        states[one] = state_of([digest, *(_named(memory.heads.get(key)) for key in one.heads)])
    return states


def _named(record: Entry | None) -> str:
    return ABSENT if record is None else Head.unpack(record.payload).suffix or ABSENT
