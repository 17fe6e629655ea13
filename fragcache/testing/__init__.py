"""What a project or a third-party backend tests its use of fragcache with."""

from __future__ import annotations

from fragcache.testing.backends import BackendBehaviour

__all__ = ["BackendBehaviour"]
