"""Access: who may see more than whether all is well."""

from __future__ import annotations

from typing import Final

from django import db
from django.http import HttpRequest

from fragcache import conf
from fragcache.contexts.credentials import BEARER, is_one_of, listed

PERMISSION: Final = "fragcache.view_fragmentcache"


def may_watch(request: HttpRequest) -> bool:
    """Whether a request has a key of ``MONITORING_KEYS``, or a member of staff may see the cache.

    Without a database nobody is a member of staff.
    """
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == BEARER.lower():
        return is_one_of(given.strip(), listed(conf.settings().MONITORING_KEYS))
    user = getattr(request, "user", None)
    try:
        return user is not None and user.is_staff and user.has_perm(PERMISSION)
    except db.Error:
        return False
