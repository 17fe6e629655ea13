"""A batch: what one call asks for, instances of one fragment under one set of axis values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from fragcache import axes, registry
from fragcache.arguments import Instance, as_arguments
from fragcache.declarations import Fragment
from fragcache.digests import digest_of, shown_by
from fragcache.keys import base_key, encode_axes, entry_key, entry_keys
from fragcache.manifest import RemoteFragment
from fragcache.reading.rows import Rows, rows_of
from fragcache.slots import Slot, token_names
from fragcache.store import Store
from fragcache.token_memory import TokenName
from fragcache.versions import Version


@dataclass(slots=True, kw_only=True)
class Batch:
    """Instances by position; what they have in common is made once."""

    fragment: Fragment
    cache: Store
    items: Sequence[Any]
    kwargs: Mapping[str, Any]
    axis_values: Mapping[str, Any]
    #: The axis values as keys have them.
    axes: str
    digest: str
    #: The items, where they are rows that carry all that their keys are made of.
    rows: Rows | None
    _arguments: Sequence[str] | None = None
    _token_names: dict[TokenName, None] | None = None

    @classmethod
    def of(
        cls,
        fragment: Fragment,
        cache: Store,
        items: Sequence[Any],
        kwargs: Mapping[str, Any],
        request: HttpRequest | None,
    ) -> Batch:
        """Return the batch that a call asks for.

        Raises:
            InvalidArguments, NoIdentity: the items name no instances.
            UnknownAxis: this site lacks an axis of the fragment.
        """
        values = axes.current_values(fragment.axes, request)
        encoded_axes = encode_axes(values)
        digest = fragment.digest if isinstance(fragment, RemoteFragment) else digest_of(fragment)
        rows = rows_of(fragment, items, kwargs, encoded_axes, digest)
        batch = cls(
            fragment=fragment,
            cache=cache,
            items=items,
            kwargs=kwargs,
            axis_values=values,
            axes=encoded_axes,
            digest=digest,
            rows=rows,
        )
        if rows is None:
            _ = batch.arguments  # which says what is wrong with them
        return batch

    @property
    def arguments(self) -> Sequence[str]:
        """The arguments of each instance as keys have them."""
        if self._arguments is None:
            self._arguments = self.fragment.parameters.encoded(self.items, self.kwargs)
        return self._arguments

    def instance(self, position: int) -> Instance:
        bound = self.fragment.parameters.bind(as_arguments(self.items[position]), self.kwargs)
        return Instance(bound, self.arguments[position])

    def base(self, position: int) -> str:
        """Return what the keys of an instance have in common."""
        return base_key(self.fragment.name, self.arguments[position], self.axes)

    def entry_keys(self, versions: Sequence[str | None]) -> list[str | None]:
        """Return the keys of the entries of these versions, None for None."""
        common = self.fragment.name, self.axes, self.digest
        return entry_keys(common, self.arguments, versions, self.cache.room)

    def local_names(self, keys: Sequence[str | None]) -> Sequence[Hashable]:
        """Return what copies of the entries under ``keys`` are kept under."""
        names = self.rows.names() if self.rows else keys
        if self.cache.has_plain_keys:
            return names
        space = self.cache.space
        return [(space, name) for name in names]

    def entry_key(self, position: int, suffix: str) -> str:
        return entry_key(self.base(position), suffix, self.cache.room)

    def token_names(self, position: int) -> tuple[TokenName, ...]:
        return token_names(self.fragment, self.arguments[position])

    def distinct_token_names(self) -> dict[TokenName, None]:
        """Return the token names of all instances, and of what templates show within, once each."""
        if self._token_names is None:
            self._token_names = self._distinct_token_names()
        return self._token_names

    def _distinct_token_names(self) -> dict[TokenName, None]:
        names = {self.fragment.token_name: None}
        if self.fragment.is_stamped:  # optimisation: else they share one
            positions = range(len(self.items))
            names = dict.fromkeys(name for n in positions for name in self.token_names(n))
        for name in shown_by(self.fragment):
            inner = registry.find(name)
            if inner is not None and inner.using == self.fragment.using:
                names[inner.token_name] = None
        return names

    def slot(self, position: int, version: Version | None = None) -> Slot:
        """Return the place of an instance, to write it."""
        return Slot(
            instance=self.instance(position),
            base=self.base(position),
            digest=self.digest,
            version=version,
        )
