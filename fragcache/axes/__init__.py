"""Axes: the ambient things that output varies on without being given as an argument."""

from fragcache.axes.addresses import Host, Scheme
from fragcache.axes.base import Axis
from fragcache.axes.known import (
    REFUSAL,
    activated,
    available,
    combinations,
    current_values,
    get,
    plan,
)
from fragcache.axes.locales import Language, TimeZone
from fragcache.axes.sites import CurrentSite

__all__ = [
    "REFUSAL",
    "Axis",
    "CurrentSite",
    "Host",
    "Language",
    "Scheme",
    "TimeZone",
    "activated",
    "available",
    "combinations",
    "current_values",
    "get",
    "plan",
]
