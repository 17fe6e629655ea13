"""Fresh renders: of instances as a run would store them, without the cache and storing nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fragcache import page, versions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes
from fragcache.rendering import uncached
from fragcache.slots import Slot
from fragcache.verifying.texts import text_of_output
from fragcache.versions import Version
from fragcache.warming import renders


class Fresh(NamedTuple):
    """What renders gave, by base; without what failed, and what has no row any more."""

    html: dict[str, str]
    failed: int


def slots_of(
    fragment: Fragment,
    instances: Sequence[tuple[Instance, Version | None]],
    axis_values: Mapping[str, Any],
) -> list[Slot]:
    """Return the places of instances under axis values, each once."""
    encoded, digest = encode_axes(axis_values), digest_of(fragment)
    found: dict[str, Slot] = {}
    for instance, version in instances:
        base = base_key(fragment.name, instance.encoded, encoded)
        found[base] = Slot(instance=instance, base=base, digest=digest, version=version)
    return list(found.values())


def render(fragment: Fragment, slots: Sequence[Slot]) -> Fresh:
    """Render instances under the axis values in force; what fails is logged.

    Raises:
        OperationalError: the database fails, whatever is asked of it.
    """
    with uncached():
        rendered = renders.render(fragment, [replace(slot, output=None) for slot in slots])
    outputs = {slot.base: slot.output for slot in rendered.slots}
    texts = {
        base: text_of_output(output, fragment.entry_kind)
        for base, output in outputs.items()
        if output is not None
    }
    return Fresh({base: text for base, text in texts.items() if text is not None}, rendered.failed)


def with_version_of_now(fragment: Fragment, slots: Sequence[Slot]) -> list[Slot]:
    """Return the slots with the versions that the database has now, without those of lost rows."""
    if not fragment.is_versioned:
        return list(slots)
    instances = [_by_key(fragment, slot.instance) for slot in slots]
    found = versions.of_instances(fragment, instances, page.outside())
    pairs = zip(slots, found, strict=True)
    return [replace(slot, version=version) for slot, version in pairs if version is not None]


def _by_key(fragment: Fragment, instance: Instance) -> Instance:
    """Return an instance by primary key: an object in a list is as old as the list."""
    if fragment.item_model is None or not instance.arguments:
        return instance
    first, *others = instance.arguments
    return Instance((fragment.parameters.primary_key(first), *others), instance.encoded)
