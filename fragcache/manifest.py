"""The manifest: what a source says of its fragments, so that a target can form their keys."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Final

from django.core.signals import setting_changed
from django.db import models

from fragcache import conf
from fragcache.arguments import Parameters
from fragcache.bounded import Bounded
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.entry import Entry, Kind
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import Encoded, encode, manifest_key
from fragcache.page import now
from fragcache.records import pack_document, unpack_document
from fragcache.store import Store

FORMAT: Final = 1

#: Fragments that are remembered: each tenant of a KEY_FUNCTION has its own.
_MOST: Final = 10_000
#: By space and name, when it was read in ``time.monotonic()``.
_remembered: Bounded[tuple[float, RemoteFragment]] = Bounded(_MOST, lambda _known: 1)


class RemoteFragment(Fragment):
    """A fragment that another site declares and renders; this one only reads it."""

    is_local: ClassVar[bool] = False
    is_remote: ClassVar[bool] = True

    def __init__(self, document: dict[str, Any]) -> None:
        publish = document.get("publish", "html")
        super().__init__(name=document["name"], template_name="", publish=publish)
        self.document = document

    @property
    def is_stamped(self) -> bool:
        is_stamped: bool = self.document["stamped"]
        return is_stamped

    @cached_property
    def parameters(self) -> Parameters:
        pk_field = self.document["pk_field"]
        return Parameters(
            owner=self.name,
            names=tuple(self.document["parameters"]),
            defaults=tuple(map(Encoded, self.document["defaults"])),
            pk_to_python=getattr(models, pk_field, models.Field)().to_python if pk_field else None,
        )

    @cached_property
    def axes(self) -> tuple[str, ...]:
        return tuple(self.document["axes"])

    @property
    def digest(self) -> str:
        digest: str = self.document["digest"]
        return digest

    @property
    def told_at(self) -> int:
        """When the source told of it last, in microseconds since 1970 UTC."""
        moment: int = self.document["told_at"]
        return moment


def publish(
    store: Store, fragments: Iterable[Fragment], walked: Mapping[str, Any] | None = None
) -> None:
    """Tell targets of fragments whose instances were warmed, and later runs how they ``walked``.

    Raises:
        CacheUnavailable: the cache does not answer, or refuses what they are told.
    """
    moment = now()
    for fragment in fragments:
        if fragment.is_remote:
            continue
        payload = pack_document(_document(fragment) | {"walked": walked})
        entry = Entry(Kind.MANIFEST, payload, as_of=moment, built_at=moment)
        refused = store.write_many({manifest_key(fragment.name, store.room): entry}, None)
        for reason in refused.values():
            raise CacheUnavailable(
                f"alias {store.alias!r} refused what targets are told of {fragment.name}: "
                f"{reason.removesuffix('.')}.",
                is_refusal=True,
            )


def find(store: Store, name: str) -> RemoteFragment | None:
    """Return a fragment that a source published; what is known is trusted for INVALIDATION_LAG."""
    place = store.space, name
    [remembered] = _remembered.get_many([place])
    if remembered and time.monotonic() - remembered[0] < conf.settings().INVALIDATION_LAG:
        return remembered[1]
    document = _read(store, name)
    if document is None:
        return None
    found = RemoteFragment(document)
    _remembered.keep({place: (time.monotonic(), found)})
    return found


def ensure(store: Store, fragment: Fragment) -> None:
    """Tell targets of a fragment that no run has told of, or whose parameters have changed.

    One of which targets show the HTML as well is left to the runs: what they say of it belongs
    together.

    Raises:
        CacheUnavailable: as of ``publish``.
    """
    known = find(store, fragment.name)
    if known is not None:
        told = unpack_document(pack_document(_document(fragment)))
        has_changed = any(known.document.get(name) != value for name, value in told.items())
        if fragment.publish != "context" or not has_changed:
            return
    publish(store, [fragment])
    _remembered.drop((store.space, fragment.name))


def walked(store: Store, name: str) -> dict[str, Any] | None:
    """Return how the last completed run walked a fragment, as it told ``publish``."""
    document = _read(store, name)
    return None if document is None else document.get("walked")


def _read(store: Store, name: str) -> dict[str, Any] | None:
    key = manifest_key(name, store.room)
    entry = store.read_many([key]).get(key)
    if entry is None or entry.kind != Kind.MANIFEST:
        return None
    document = unpack_document(entry.payload)
    if document["format"] != FORMAT:
        return None
    return document | {"told_at": entry.as_of}


def _document(fragment: Fragment) -> dict[str, Any]:
    parameters = fragment.parameters
    return {
        "format": FORMAT,
        "name": fragment.name,
        "parameters": parameters.names,
        "defaults": [encode(value) for value in parameters.canonical_defaults()],
        "pk_field": _pk_field(fragment.item_model),
        "axes": fragment.axes,
        "digest": digest_of(fragment),
        "stamped": fragment.is_stamped,
        "publish": fragment.publish,
    }


def _pk_field(model: type[models.Model] | None) -> str | None:
    if model is None:
        return None
    field: Any = model._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    kind: str = field.get_internal_type()
    return kind


def _forget(**_kwargs: object) -> None:
    _remembered.clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.manifest")
