"""Template fragments for Django: declared, rendered ahead of the visitors, read in one go."""

from fragcache.addresses import absolute_uri
from fragcache.axes import Axis
from fragcache.collections import acollection_version, collection_version
from fragcache.declarations import Fragment
from fragcache.exceptions import (
    CacheUnavailable,
    DuplicateFragment,
    FragcacheError,
    FragmentMissing,
    ImproperlyDeclared,
    InvalidArguments,
    InvalidationFailed,
    KeyTooLong,
    Leak,
    NoIdentity,
    ReadOnly,
    TransactionOpen,
    UndefinedArgument,
    UnknownAxis,
    UnknownFragment,
)
from fragcache.invalidation import (
    ainvalidate,
    ainvalidate_all,
    ainvalidate_all_template_fragments,
    ainvalidate_many,
    ainvalidate_template_fragment,
    invalidate,
    invalidate_all,
    invalidate_all_template_fragments,
    invalidate_many,
    invalidate_template_fragment,
)
from fragcache.reading import RAISE, aget_fragment, aget_fragments, get_fragment, get_fragments
from fragcache.registry import fragment, register
from fragcache.rendering import arender_fragment, render_fragment

__all__ = [
    "RAISE",
    "Axis",
    "CacheUnavailable",
    "DuplicateFragment",
    "FragcacheError",
    "Fragment",
    "FragmentMissing",
    "ImproperlyDeclared",
    "InvalidArguments",
    "InvalidationFailed",
    "KeyTooLong",
    "Leak",
    "NoIdentity",
    "ReadOnly",
    "TransactionOpen",
    "UndefinedArgument",
    "UnknownAxis",
    "UnknownFragment",
    "absolute_uri",
    "acollection_version",
    "aget_fragment",
    "aget_fragments",
    "ainvalidate",
    "ainvalidate_all",
    "ainvalidate_all_template_fragments",
    "ainvalidate_many",
    "ainvalidate_template_fragment",
    "arender_fragment",
    "collection_version",
    "fragment",
    "get_fragment",
    "get_fragments",
    "invalidate",
    "invalidate_all",
    "invalidate_all_template_fragments",
    "invalidate_many",
    "invalidate_template_fragment",
    "register",
    "render_fragment",
]
