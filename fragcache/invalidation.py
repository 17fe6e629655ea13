"""Invalidation: what was made before now is not current any more.

It replaces a token, whose value every entry made under it carries: one small write, however many
entries there are. Inside of a transaction it is written when that commits, and holds for the
thread itself at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async

from fragcache import registry, tokens, tombstones, transactions
from fragcache.arguments import Instance, plain
from fragcache.blocks import token_name as block_token
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, ImproperlyDeclared, InvalidationFailed
from fragcache.keys import encode_arguments
from fragcache.slots import token_names
from fragcache.store import Store, store
from fragcache.token_memory import TokenName

#: How often a write that failed is tried in all.
ATTEMPTS: Final = 3

Reference = str | Fragment | type[Fragment]


def invalidate(f: Reference, *args: Any, using: str | None = None, **kwargs: Any) -> None:
    """Invalidate one instance.

    Of a row that was deleted, or is not among the items any more, targets show nothing from then
    on, whichever of the fragment's choices they ask for; also of a fragment with a version.

    Raises:
        UnknownFragment, InvalidArguments, NoIdentity: it names no instance.
        ImproperlyDeclared: the fragment has a version and no stamps, and the row is there.
        InvalidationFailed: it could not be written. Inside of a transaction this is raised where
            its ``atomic`` block ends, after the commit.
    """
    invalidate_many(f, [args], using=using, **kwargs)


def invalidate_many(
    f: Reference, items: Iterable[Any], *, using: str | None = None, **kwargs: Any
) -> None:
    """Invalidate many instances in two round trips; a tuple is several arguments.

    One query tells which rows are gone, and two round trips more are for these.

    Raises:
        As ``invalidate``.
    """
    fragment = registry.get(f)
    instances = [
        fragment.parameters.instance(item if isinstance(item, tuple) else (item,), kwargs)
        for item in items
    ]
    gone = tombstones.gone(fragment, instances)
    if not fragment.is_stamped and (len(gone) < len(instances) or not instances):
        raise ImproperlyDeclared(
            f"{fragment.name} is found by its version, so single instances cannot be "
            "invalidated: move the mtime of the object (save it), declare stamped=True, or call "
            "invalidate_all()."
        )
    if gone:
        _bury(fragment, using, tombstones.with_choices(fragment, gone))
    left = [instance for instance in instances if instance not in gone]
    replace_tokens(store(using or fragment.using), _stamps(fragment, left))


def invalidate_all(f: Reference, *, using: str | None = None, purge: bool = False) -> None:
    """Invalidate all instances of a fragment, however many, in two round trips.

    Targets show the former entries as stale until they are warmed again; with ``purge`` they
    show nothing instead.

    Raises:
        UnknownFragment: nobody declares that name.
        InvalidationFailed: it could not be written.
    """
    fragment = registry.get(f)
    replace_tokens(store(using or fragment.using), [fragment.token_name], purge=purge)


def invalidate_template_fragment(
    name: str, vary_on: Sequence[Any] = (), *, using: str | None = None
) -> None:
    """Invalidate the ``{% cache %}`` blocks of a name that vary on these values, everywhere.

    Without values it is the block that varies on none.

    Raises:
        InvalidArguments, NoIdentity: a value has no canonical form.
        InvalidationFailed: it could not be written; as of ``invalidate``.
    """
    encoded = encode_arguments(map(plain, vary_on))
    replace_tokens(store(using), [TokenName(block_token(name).fragment, encoded)])


def invalidate_all_template_fragments(name: str, *, using: str | None = None) -> None:
    """Invalidate the ``{% cache %}`` blocks of a name, whatever they vary on.

    Raises:
        InvalidationFailed: it could not be written; as of ``invalidate``.
    """
    replace_tokens(store(using), [block_token(name)])


def replace_tokens(cache: Store, names: Sequence[TokenName], *, purge: bool = False) -> None:
    """Invalidate what was made under tokens, when this thread's transaction commits.

    Raises:
        InvalidationFailed: it could not be written.
    """
    if names:
        replace = partial(tokens.replace, cache, names, purge=purge)
        transactions.on_commit(names, lambda: _insist(names[0].fragment, replace))


def _bury(fragment: Fragment, using: str | None, instances: Sequence[Instance]) -> None:
    """Take away what targets would show as stale."""
    cache = store(using or fragment.using)
    replace_tokens(cache, _stamps(fragment, instances), purge=True)
    has_heads = fragment.is_warmable or fragment.publish != "html"
    if has_heads or not fragment.is_versioned or fragment.stale_while_revalidate:
        write = partial(tombstones.write, cache, fragment, instances)
        transactions.on_commit((), lambda: _insist(fragment.name, write))


def _stamps(fragment: Fragment, instances: Iterable[Instance]) -> list[TokenName]:
    """Return the names of the stamps of instances, of which a fragment may have none."""
    return [name for one in instances for name in token_names(fragment, one.encoded)[1:]]


def _insist(name: str, write: Callable[[], None]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return write()
        except CacheUnavailable as error:
            if attempt == ATTEMPTS and isinstance(error, InvalidationFailed):
                raise
            if attempt == ATTEMPTS:
                raise InvalidationFailed(
                    f"{name} is not invalidated, after {ATTEMPTS} attempts ({error}). "
                    "A transaction that asked for it is committed all the same; ask again."
                ) from error
    return None


ainvalidate = sync_to_async(invalidate)
ainvalidate_many = sync_to_async(invalidate_many)
ainvalidate_all = sync_to_async(invalidate_all)
ainvalidate_template_fragment = sync_to_async(invalidate_template_fragment)
ainvalidate_all_template_fragments = sync_to_async(invalidate_all_template_fragments)
