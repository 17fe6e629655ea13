"""One class per mistake; each message names the value and the remedy."""

from __future__ import annotations

from django.core.cache import InvalidCacheBackendError


class FragcacheError(Exception):
    """The base of every error that fragcache raises."""


class ImproperlyDeclared(FragcacheError, TypeError):
    """A declaration contradicts itself or names what does not exist."""


class DuplicateFragment(ImproperlyDeclared):
    """Two declarations claim one name."""


class UnknownFragment(FragcacheError, LookupError):
    """No fragment of that name is declared, here or by the source."""


class UnknownAxis(FragcacheError, LookupError):
    """No axis of that name is registered."""


class UnknownAlias(FragcacheError, InvalidCacheBackendError):
    """No cache of that alias is in ``settings.CACHES``."""


class CountsUnavailable(FragcacheError):
    """What was counted cannot be read: there is no database, no table, or no such setting."""


class InvalidArguments(FragcacheError, TypeError):
    """The arguments do not fit the fragment's signature, model or choices."""


class UndefinedArgument(InvalidArguments):
    """A template variable that was given as an argument does not resolve."""


class Leak(FragcacheError):
    """What is kept for all would show what is one visitor's own."""


class NoIdentity(InvalidArguments):
    """An argument of a type that has no canonical form, so no key."""


class NotPackable(FragcacheError, ValueError):
    """An argument that JSON cannot tell another process."""


class KeyTooLong(FragcacheError, ValueError):
    """KEY_PREFIX leaves no room for a key of at most 200 bytes."""


class FragmentMissing(FragcacheError, LookupError):
    """The fragment is declared, but this instance of it is not to be had."""


class SetMissing(FragmentMissing):
    """No atomic set of that name is in the cache."""


class SetIncomplete(FragcacheError):
    """Not all members of an atomic set are in the cache: it is not shown."""


class CacheUnavailable(FragcacheError):
    """The cache did not answer, or answered with a failure of its own."""

    def __init__(self, message: str, *, is_refusal: bool = False) -> None:
        super().__init__(message)
        #: Whether it has answered, and will not do this one thing.
        self.is_refusal = is_refusal


class InvalidationFailed(CacheUnavailable):
    """An invalidation could not be written; nothing was invalidated."""


class TransactionOpen(FragcacheError):
    """What a transaction may still roll back was about to be stored for everybody."""


class ReadOnly(FragcacheError):
    """A write was asked of a site that has ``FRAGCACHE["READ_ONLY"]``."""

    @classmethod
    def of(cls, alias: str) -> ReadOnly:
        return cls(
            "FRAGCACHE['READ_ONLY'] is set: nothing is written to the cache alias "
            f"{alias!r} by this site."
        )


class WrongKey(FragcacheError, ValueError):
    """A key of Ed25519 in the settings is none."""


class ExtraMissing(FragcacheError, ImportError):
    """A library is needed that an extra of fragcache installs."""


class Unpublishable(FragcacheError, TypeError):
    """A context holds what cannot be published."""


class SnapshotTooLarge(FragcacheError, ValueError):
    """A context is larger than what may be published."""


class Unreadable(FragcacheError, ValueError):
    """What is no snapshot, or one that this release does not understand."""


class NotLoaded(FragcacheError):
    """A record lacks what the source had not loaded; no AttributeError, which templates hide."""


class ShapeMismatch(FragcacheError, TypeError):
    """A context has another shape than the one that is asked for."""
