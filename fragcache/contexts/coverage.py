"""Coverage: of the contexts that a target asks for, which are there, and how old."""

from __future__ import annotations

import itertools
import statistics
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fragcache import axes, manifest, page, registry
from fragcache.arguments import Instance, as_arguments
from fragcache.contexts.asked import Asked
from fragcache.contexts.presence import built_at
from fragcache.contexts.remote import TargetFragment
from fragcache.declarations import Fragment
from fragcache.manifest import RemoteFragment
from fragcache.page import now
from fragcache.store import store

#: Instances that are looked for at a time.
SIZE: Final = 500
_SECOND: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class Coverage:
    """What there is of one fragment."""

    name: str
    #: Seconds since the source told of it last; None where it never has.
    told: float | None = None
    #: Whether it is known which instances are asked for: there are ``items``, or only one.
    is_listed: bool = True
    #: What was asked for lately, of one that this site does not declare.
    lately: Asked | None = None
    #: The ages in seconds of those that are there.
    ages: array[float] = field(default_factory=lambda: array("d"))
    #: How many are not.
    missing: int = 0
    #: The arguments and axis values of the first of these.
    named: list[tuple[Sequence[Any], Mapping[str, Any]]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether the source has told of it, and nothing that is asked for is missing."""
        return self.told is not None and not self.missing

    @property
    def oldest(self) -> float | None:
        return max(self.ages, default=None)

    @property
    def median(self) -> float | None:
        return statistics.median(self.ages) if self.ages else None


def coverage(name: str, using: str | None = None, *, most: int | None = None) -> Coverage:
    """Return what there is of the contexts of a fragment that a source declares.

    Of those that are missing, ``most`` are named, all for None.

    Which instances are asked for, ``items`` and ``choices`` of its ``remote_fragment`` say; one
    that is only fetched by ``fetch_context`` is asked for without arguments.

    Raises:
        CacheUnavailable: the cache does not answer.
        InvalidArguments, UnknownAxis: this site asks for what the source does not have.
    """
    declared = registry.find(name)
    alias = using or (declared.using if declared is not None else None)
    cache = store(alias)
    published = manifest.find(cache, name)
    if published is None:
        return Coverage(name=name)
    moment = now()
    found = Coverage(name=name, told=(moment - published.told_at) / _SECOND)
    asking = declared if isinstance(declared, TargetFragment) else published
    found.is_listed = asking.is_warmable
    if not found.is_listed:
        return found
    for values in axes.combinations(published.axes):
        with axes.activated(values):
            for instances in _instances(asking):
                built = _built_at(published, instances, alias)
                _include(found, instances, values, built, moment, most=most)
    return found


def _built_at(
    published: RemoteFragment, instances: Sequence[Instance], using: str | None
) -> Sequence[int | None]:
    current = page.outside()  # one for each part: it remembers all that it has looked for
    current.is_visited = False  # nobody waits for it: no budget, and no asking of the source
    with page.entered(current):
        arguments = [instance.arguments for instance in instances]
        return built_at(published, arguments, using=using)


def _include(
    found: Coverage,
    instances: Sequence[Instance],
    values: Mapping[str, Any],
    built: Sequence[int | None],
    moment: int,
    *,
    most: int | None,
) -> None:
    for instance, since in zip(instances, built, strict=True):
        if since is not None:
            found.ages.append(max(0.0, (moment - since) / _SECOND))
            continue
        found.missing += 1
        if most is None or len(found.named) < most:
            found.named.append((instance.arguments, values))


def _instances(fragment: Fragment) -> Iterator[list[Instance]]:
    """Yield all that is asked for; what is not there has no version, and is in no run's batches."""
    items = fragment.get_items()
    combinations = fragment.choice_combinations()
    found = (
        fragment.parameters.instance(as_arguments(item), choices)
        for item in ([()] if items is None else items)
        for choices in combinations
    )
    while chunk := list(itertools.islice(found, SIZE)):
        yield chunk
