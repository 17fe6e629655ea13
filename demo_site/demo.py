#!/usr/bin/env python
"""Run the demo: a source site that builds fragments, and a target without a database.

Migrates, loads the data, warms the fragments of both, starts both and stops them on Ctrl-C.
"""

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from runner.caches import CACHES, prepared_cache
from runner.databases import DATABASES, prepared_database
from runner.errors import DemoError, Stopped
from runner.ports import require_free
from runner.processes import Child, Children
from runner.signals import noted_signals, wait_until
from runner.sites import run_command, start_site, wait_for_site

PACKAGES = {"django", "fragcache", "httpx", "markdown", "msgspec", "nh3", "rest_framework"}
CLIENTS = {
    "embedded": set(),
    "redis": {"django_redis"},
    "memcached": {"pymemcache"},
    "sqlite": set(),
    "postgres": {"psycopg2"},
}
READY = """
  source  http://localhost:{source_port}/  owns the database and builds the fragments
  target  http://localhost:{target_port}/  has no database, and shows what was warmed
          http://localhost:{target_port}/musics/  the same by contexts
  admin   http://localhost:{source_port}/admin/  user demo, password {password}
          http://localhost:{source_port}/admin/fragcache/fragmentcache/  what each fragment earns

Ctrl-C stops both. `kill {source_pid}` stops the source alone: the target goes on without it."""


def main() -> int:
    options = parser().parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # in order with what the commands print
    var = Path(os.environ.get("DEMO_VAR") or Path(__file__).resolve().parent / "var").absolute()
    try:
        require_packages(PACKAGES | CLIENTS[options.cache] | CLIENTS[options.db])
        require_ports(options.source_port, options.target_port)
        make_folder(var)
        with noted_signals(), Children(var) as children:
            demonstrate(options, children, var)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped as stopped:
        print("\nStopped.")
        # Ctrl-C is how the demo ends; make would report any other code as an error.
        return 0 if stopped.signum == signal.SIGINT else 128 + stopped.signum
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache",
        choices=CACHES,
        default="embedded",
        help="what both sites share (default: embedded)",
    )
    parser.add_argument(
        "--db",
        choices=DATABASES,
        default="sqlite",
        help="what the source alone has (default: sqlite)",
    )
    parser.add_argument("--source-port", type=port, default=4000, metavar="N", help="default: 4000")
    parser.add_argument("--target-port", type=port, default=5000, metavar="N", help="default: 5000")
    parser.add_argument(
        "--once", action="store_true", help="stop as soon as both sites have answered"
    )
    return parser


def port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def require_packages(names: set[str]) -> None:
    missing = sorted(name for name in names if find_spec(name) is None)
    if missing:
        raise DemoError(
            f"Not installed here: {', '.join(missing)}. Run `make demo`, or pip install '.[demo]'."
        )


def require_ports(source_port: int, target_port: int) -> None:
    if source_port == target_port:
        raise DemoError(f"Both sites cannot use port {source_port}.")
    require_free(source_port, "--source-port")
    require_free(target_port, "--target-port")


def make_folder(var: Path) -> None:
    try:
        var.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"{var} cannot be made ({error.strerror}). Set DEMO_VAR.") from error


def demonstrate(options: argparse.Namespace, children: Children, var: Path) -> None:
    environment = {"DEMO_VAR": str(var), **prepared_cache(options.cache, children, var)}
    at_source = {**environment, **prepared_database(options.db, children, var)}
    at_target = {**environment, "DEMO_SOURCE_URL": f"http://127.0.0.1:{options.source_port}"}
    run_command(children, at_source, "migrate", "--verbosity=0")
    run_command(children, at_source, "make_superuser")
    run_command(children, at_source, "load_courses")
    run_command(children, at_source, "load_musics")
    run_command(children, at_source, "warm_fragments")
    warming = {**at_target, "DEMO_TARGET_WARMS": "1"}
    run_command(children, warming, "warm_fragments", site="target")
    source = start_site(children, at_source, "source", options.source_port)
    target = start_site(children, at_target, "target", options.target_port)
    wait_for_site(source, options.source_port)
    wait_for_site(target, options.target_port)
    print(
        READY.format(
            source_port=options.source_port,
            target_port=options.target_port,
            source_pid=source.process.pid,
            password=os.environ.get("DEMO_ADMIN_PASSWORD") or "demo",
        )
    )
    if not options.once:
        watch(source, target)


def watch(source: Child, target: Child) -> None:
    """Wait for the end of the target. That of the source is told: the target lives without it."""
    wait_until(lambda: not (source.is_running and target.is_running))
    if target.is_running:
        print(f"The source site {source.end}. The target goes on; Ctrl-C stops it.")
        wait_until(lambda: not target.is_running)
    raise DemoError(f"The target site {target.end}.")


if __name__ == "__main__":
    sys.exit(main())
