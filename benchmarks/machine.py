"""What a run depends on: versions and the processor; nothing that tells whose machine it is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.servers import Stand

DISTRIBUTIONS = (
    "fragcache",
    "Django",
    "django-redis",
    "redis",
    "hiredis",
    "pymemcache",
    "django-adv-cache-tag",
    "django-cacheops",
)


def describe(
    servers: Iterable[Stand], distributions: Iterable[str] = DISTRIBUTIONS
) -> dict[str, str]:
    """Return versions of what was measured and the kind of machine, by name."""
    found = {
        "Processor": f"{processor()}, {os.cpu_count()} cores",
        "System": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    versions = ((f"{server.name} server", server.version()) for server in servers)
    return found | {name: version for name, version in versions if version}


def processor() -> str:
    """Return the processor's model."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _colon, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        return shown.stdout.strip()
    return platform.processor() or platform.machine()
