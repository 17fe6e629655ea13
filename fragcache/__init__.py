"""Template fragments for Django: declared, rendered ahead of the visitors, read in one go."""

from fragcache.addresses import absolute_uri
from fragcache.axes import Axis
from fragcache.collections import acollection_version, collection_version
from fragcache.contexts.fetching import afetch_context, fetch_context
from fragcache.contexts.publishing import apublish_context, publish_context
from fragcache.contexts.remote import remote_fragment
from fragcache.declarations import Fragment
from fragcache.exceptions import (
    CacheUnavailable,
    DuplicateFragment,
    ExtraMissing,
    FragcacheError,
    FragmentMissing,
    ImproperlyDeclared,
    InvalidArguments,
    InvalidationFailed,
    KeyTooLong,
    Leak,
    NoIdentity,
    NotLoaded,
    ReadOnly,
    ShapeMismatch,
    SnapshotTooLarge,
    TransactionOpen,
    UndefinedArgument,
    UnknownAxis,
    UnknownFragment,
    Unpublishable,
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
    "ExtraMissing",
    "FragcacheError",
    "Fragment",
    "FragmentMissing",
    "ImproperlyDeclared",
    "InvalidArguments",
    "InvalidationFailed",
    "KeyTooLong",
    "Leak",
    "NoIdentity",
    "NotLoaded",
    "ReadOnly",
    "ShapeMismatch",
    "SnapshotTooLarge",
    "TransactionOpen",
    "UndefinedArgument",
    "UnknownAxis",
    "UnknownFragment",
    "Unpublishable",
    "absolute_uri",
    "acollection_version",
    "afetch_context",
    "aget_fragment",
    "aget_fragments",
    "ainvalidate",
    "ainvalidate_all",
    "ainvalidate_all_template_fragments",
    "ainvalidate_many",
    "ainvalidate_template_fragment",
    "apublish_context",
    "arender_fragment",
    "collection_version",
    "fetch_context",
    "fragment",
    "get_fragment",
    "get_fragments",
    "invalidate",
    "invalidate_all",
    "invalidate_all_template_fragments",
    "invalidate_many",
    "invalidate_template_fragment",
    "publish_context",
    "register",
    "remote_fragment",
    "render_fragment",
]
