"""Invalidation: what was made before now is not current any more.

It replaces a token, whose value every entry made under it carries: one small write, however many
entries there are. Inside of a transaction it is written when that commits, and holds for the
thread itself at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async

from fragcache import registry, tokens, transactions
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, ImproperlyDeclared, InvalidationFailed
from fragcache.slots import token_names
from fragcache.store import Store, store
from fragcache.token_memory import TokenName

#: How often a write that failed is tried in all.
ATTEMPTS: Final = 3

Reference = str | Fragment | type[Fragment]


def invalidate(f: Reference, *args: Any, using: str | None = None, **kwargs: Any) -> None:
    """Invalidate one instance.

    Raises:
        UnknownFragment, InvalidArguments, NoIdentity: it names no instance.
        ImproperlyDeclared: the fragment has a version and no stamps.
        InvalidationFailed: it could not be written. Inside of a transaction this is raised where
            its ``atomic`` block ends, after the commit.
    """
    invalidate_many(f, [args], using=using, **kwargs)


def invalidate_many(
    f: Reference, items: Iterable[Any], *, using: str | None = None, **kwargs: Any
) -> None:
    """Invalidate many instances in two round trips; a tuple is several arguments.

    Raises:
        As ``invalidate``.
    """
    fragment = registry.get(f)
    if not fragment.is_stamped:
        raise ImproperlyDeclared(
            f"{fragment.name} is found by its version, so single instances cannot be "
            "invalidated: move the mtime of the object (save it), declare stamped=True, or call "
            "invalidate_all()."
        )
    instances = [
        fragment.parameters.instance(item if isinstance(item, tuple) else (item,), kwargs)
        for item in items
    ]
    names = [token_names(fragment, instance.encoded)[1] for instance in instances]
    replace_tokens(store(using or fragment.using), names)


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


def replace_tokens(cache: Store, names: Sequence[TokenName], *, purge: bool = False) -> None:
    """Invalidate what was made under tokens, when this thread's transaction commits.

    Raises:
        InvalidationFailed: it could not be written.
    """
    if names:
        transactions.on_commit(names, lambda: _replace_now(cache, names, purge=purge))


def _replace_now(cache: Store, names: Sequence[TokenName], *, purge: bool) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return tokens.replace(cache, names, purge=purge)
        except CacheUnavailable as error:
            if attempt == ATTEMPTS and isinstance(error, InvalidationFailed):
                raise
            if attempt == ATTEMPTS:
                raise InvalidationFailed(
                    f"{names[0].fragment} is not invalidated, after {ATTEMPTS} attempts ({error}). "
                    "A transaction that asked for it is committed all the same; ask again."
                ) from error
    return None


ainvalidate = sync_to_async(invalidate)
ainvalidate_many = sync_to_async(invalidate_many)
ainvalidate_all = sync_to_async(invalidate_all)
