"""What a project or a third-party backend tests its use of fragcache with."""

from __future__ import annotations

from fragcache.testing.backends import BackendBehaviour
from fragcache.testing.overriding import override_fragcache
from fragcache.testing.soundness import assert_fragment_sound

__all__ = ["BackendBehaviour", "assert_fragment_sound", "override_fragcache"]
