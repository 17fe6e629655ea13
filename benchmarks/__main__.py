"""``python -m benchmarks``: print Markdown tables of fragcache and its peers, in one run."""

from __future__ import annotations

import argparse
import os
import tempfile

from tests.processes import Memcached, Redis, Server
from tests.servers import Servers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds per table (%(default)s)")
    options = parser.parse_args()
    servers = Servers()
    with tempfile.TemporaryDirectory(prefix="fragcache-bench-") as directory:
        try:
            servers.start(Redis, Memcached)
            for kind in (Redis, Memcached):
                found = servers.found[kind.name]
                if not isinstance(found, Server):
                    raise SystemExit(f"{kind.name} is not here. {getattr(found, 'reason', '')}")
                os.environ[kind.variable] = found.address
            os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"] = directory
            os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
            import django

            django.setup()
            from benchmarks import tables

            tables.print_all(options.rounds)
        finally:
            servers.stop()


if __name__ == "__main__":
    main()
