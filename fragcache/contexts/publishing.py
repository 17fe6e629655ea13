"""Publishing: the context of an instance as an entry and a head, as its HTML would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import Model
from django.http import HttpRequest

from fragcache import axes, manifest, page, registry, rendering, slots, transactions, versions
from fragcache.arguments import Instance, as_item
from fragcache.contexts.forms import ContextForm, check_publishes_contexts, context_form
from fragcache.contexts.shapes import shaped
from fragcache.contexts.snapshots import largest_part, open_snapshot
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, TransactionOpen, Unpublishable
from fragcache.keys import entry_key
from fragcache.page import now
from fragcache.reading.batch import Batch
from fragcache.reading.resolving import Reference
from fragcache.rendering import Output
from fragcache.slots import Slot
from fragcache.store import Store, store
from fragcache.warming.due import Rank, ranked


def publish_context(
    f: Reference,
    *args: Any,
    shape: type[Any] | None = None,
    request: HttpRequest | None = None,
    using: str | None = None,
    **kwargs: Any,
) -> str:
    """Publish the context of one instance for targets; return its key, for ``fetch_context``.

    What is current already is not built again. ``shape`` is a dataclass that the context has to
    fit; ``request`` tells axes their values; ``using`` names another cache alias.

    Raises:
        UnknownFragment: no fragment of that name is declared here.
        ImproperlyDeclared: it is published as HTML alone.
        InvalidArguments, NoIdentity: the arguments do not name an instance.
        FragmentMissing: no item has that key.
        Unpublishable, SnapshotTooLarge: the context holds what cannot be published, or too much.
        ShapeMismatch: the context does not fit ``shape``.
        TransactionOpen: what it shows may be rolled back.
        CacheUnavailable: the cache does not answer, or refuses the context.
        ReadOnly: this site only reads.
    """
    fragment = registry.get(f)
    cache = store(using or fragment.using)
    check_may_publish(fragment, cache)
    form = context_form(fragment)
    batch = Batch.of(form, cache, [as_item(args)], kwargs, request)
    slot = published_slot(form, batch)
    with axes.activated(batch.axis_values):
        force = shape is not None or not form.is_versioned
        found = ranked(form, cache, [slot], force=force, dry=False)
        if force or not found[Rank.FRESH] or not is_believed(cache, slot):
            _build(form, cache, slot, shape)
    manifest.ensure(cache, fragment)
    return entry_key(slot.base, slot.suffix, cache.room)


def check_may_publish(fragment: Fragment, cache: Store) -> None:
    """Check that contexts of a fragment may be published here and now.

    Raises:
        ImproperlyDeclared: it is published as HTML alone.
        ReadOnly: this site only reads.
        TransactionOpen: what it shows may be rolled back.
    """
    check_publishes_contexts(fragment)
    cache.check_writable()
    if not transactions.is_committed(page.current()):
        raise TransactionOpen(
            f"{fragment.name} is not published inside of a transaction: what it has written may be "
            "rolled back. Publish it after its end, as by transaction.on_commit()."
        )


def published_slot(form: ContextForm, batch: Batch) -> Slot:
    """Return the place of a batch's one instance, with its version of now.

    Raises:
        FragmentMissing: no item has that key.
    """
    instance = batch.instance(0)
    slot = batch.slot(0)
    slot.instance = Instance(_by_key(form, instance.arguments), instance.encoded)
    if form.is_versioned:
        [slot.version] = versions.of_instances(form, [slot.instance], page.outside())
        if slot.version is None:
            raise rendering.missing(form, instance.arguments)
    return slot


def _by_key(form: ContextForm, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return arguments with the primary key of a row, which may be older than what is stored."""
    if form.item_model is None or not arguments or not isinstance(arguments[0], Model):
        return tuple(arguments)
    return (form.parameters.primary_key(arguments[0]), *arguments[1:])


def is_believed(cache: Store, slot: Slot) -> bool:
    """Say whether a target that is given the key will believe what is stored under it.

    A run does not look, so that no entry travels; who asks for a key has asked for what is there.
    """
    key = entry_key(slot.base, slot.suffix, cache.room)
    return key in cache.read_many([key])


def _build(form: ContextForm, cache: Store, slot: Slot, shape: type[Any] | None) -> None:
    if not form.is_versioned:
        slot.version = slots.unique_version(now())
    arguments = slot.instance.arguments
    [slot.output] = rendering.render_many(
        form, [arguments], fresh=True, versions_from=slots.versions_from([slot])
    )
    if slot.output is None:
        raise rendering.missing(form, arguments)
    payload = _payload(form, slot.output)
    if shape is not None:
        shaped(open_snapshot(payload), shape, f"The context of {form.name}")
    refused = slots.write(cache, form, [slot]).refused
    for reason in refused.values():
        raise CacheUnavailable(
            f"alias {cache.alias!r} refused the context of {form.name} ({len(payload):,} bytes): "
            f"{reason.removesuffix('.')}. Its largest part is {largest_part(payload)}.",
            is_refusal=True,
        )


def _payload(form: ContextForm, output: Output) -> bytes:
    if output.payload is None:
        raise Unpublishable(
            f"The context of {form.name} may not be kept, for what the log says: it shows what is "
            "not to be stored."
        )
    return output.payload


apublish_context = sync_to_async(publish_context)
