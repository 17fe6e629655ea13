"""A lock on a file of this machine: the kernel lets go of it when its process ends, in any way."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.conf import settings

from fragcache.store import Store
from fragcache.warming.locks.base import Holder, LockUnavailable, name_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Who only looks has the lock for an instant, which is no reason to leave.
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.02
_LONGEST: Final = 4096

UNSUPPORTED: Final = "This system has no flock()."


def default_path(store: Store) -> Path:
    """Return a file in the system's temporary directory, of which each cache has another."""
    location = repr(settings.CACHES.get(store.alias, {}).get("LOCATION"))
    return Path(tempfile.gettempdir(), f"fragcache-warm-{name_of(store, location)}.lock")


def is_supported() -> bool:
    """Whether this system locks files for processes, and lets others read who holds them."""
    return fcntl is not None


class FileLock:
    """An flock() on a file, which says who holds it. The file stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self, holder: Holder) -> bool:
        for _attempt in range(_ATTEMPTS):
            descriptor = self._open(os.O_RDWR | os.O_CREAT)
            if self._flocked(descriptor, fcntl.LOCK_EX) and self._is_there(descriptor):
                self._write(descriptor, holder)
                self._descriptor = descriptor
                return True
            os.close(descriptor)
            time.sleep(_PAUSE)
        return False

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def holder(self) -> Holder | None:
        if not self._path.exists():
            return None
        descriptor = self._open(os.O_RDONLY)
        try:
            if self._flocked(descriptor, fcntl.LOCK_SH):
                return None
            content = os.pread(descriptor, _LONGEST, 0)
        finally:
            os.close(descriptor)
        try:
            return Holder.unpack(content)
        except (ValueError, TypeError) as error:  # just taken, or written by something else
            raise LockUnavailable(f"{self._path} does not say who holds it.") from error

    def _open(self, flags: int) -> int:
        if not is_supported():
            raise LockUnavailable(f"FRAGCACHE['LOCK'] is 'file'. {UNSUPPORTED}")
        try:
            # A link, in a directory that others write to, may point to any file of this user.
            return os.open(self._path, flags | os.O_NOFOLLOW, 0o660)
        except OSError as error:
            raise self._unavailable(error) from error

    def _flocked(self, descriptor: int, how: int) -> bool:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a network file system without locks
            raise self._unavailable(error) from error
        return True

    def _write(self, descriptor: int, holder: Holder) -> None:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.pack(), 0)
        except OSError as error:  # a full disk, or what is no file
            os.close(descriptor)
            raise self._unavailable(error) from error

    def _is_there(self, descriptor: int) -> bool:
        """Whether the path still leads to the file that was opened."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        return False

    def _unavailable(self, error: OSError) -> LockUnavailable:
        return LockUnavailable(
            f"{self._path} cannot be locked: {error.strerror}. Run as the user who owns it, or "
            "name a file that may be written in FRAGCACHE['LOCK'], such as "
            "'file:/run/site/warm.lock'."
        )
