"""Access: who may see more than whether all is well."""

from __future__ import annotations

import logging
from typing import Final

from django.http import HttpRequest

from fragcache import conf
from fragcache.contexts.credentials import BEARER, is_one_of, listed

logger = logging.getLogger("fragcache")

PERMISSION: Final = "fragcache.view_fragmentcache"


def may_watch(request: HttpRequest) -> bool:
    """Whether a request has a key of ``MONITORING_KEYS``, or a member of staff may see the cache.

    Where sessions or users cannot be read, for want of a database or of their server, nobody is a
    member of staff.
    """
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == BEARER.lower():
        return is_one_of(given.strip(), listed(conf.settings().MONITORING_KEYS))
    user = getattr(request, "user", None)
    try:
        return user is not None and user.is_staff and user.has_perm(PERMISSION)
    except Exception as error:
        logger.debug("Nobody can tell who asks for the state of caches.", exc_info=error)
        return False
