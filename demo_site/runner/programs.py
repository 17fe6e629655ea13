"""Programs of this machine: which are installed, and who may run them."""

import glob
import os
import pwd
import shutil
from collections.abc import Sequence

# Besides PATH.
FOLDERS = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"]


def found_program(*names: str, folders: Sequence[str] = ()) -> str | None:
    """Return the path of the first one that is installed; `folders` are globs, the last wins."""
    more = [folder for pattern in folders for folder in sorted(glob.glob(pattern), reverse=True)]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS, *more])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def ordinary_user() -> str | None:
    """Return who runs what refuses to be run by root; None where this process is not root's."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)
