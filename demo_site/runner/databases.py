"""The source's database: a file, or a PostgreSQL server that is named or started."""

import os
from pathlib import Path

from runner.errors import DemoError
from runner.ports import LOOPBACK, free_port
from runner.processes import Children
from runner.programs import found_program, ordinary_user
from runner.signals import wait_until

DATABASES = ["sqlite", "postgres"]
VARIABLE = "DEMO_DATABASE_URL"
FOLDERS = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"]
# The data does not outlive the demo, so nothing waits for the disk.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


def prepared_database(database: str, children: Children, var: Path) -> dict[str, str]:
    """Return the environment by which the source finds its database, and say which one it is.

    Raises:
        DemoError: there is no PostgreSQL, and none can be started.
    """
    if os.environ.get(VARIABLE):
        print(f"Database: PostgreSQL, named by {VARIABLE}.")
        return {}
    if database == "sqlite":
        print(f"Database: {var / 'source.sqlite3'}, which the source alone has.")
        return {}
    address = started_server(children)
    print(f"Database: PostgreSQL at {address}, started for the demo.")
    return {VARIABLE: address}


def started_server(children: Children) -> str:
    server = found_program("postgres", folders=FOLDERS)
    initdb = server and found_program("initdb", folders=[str(Path(server).resolve().parent)])
    if server is None or initdb is None:
        raise DemoError(
            "No PostgreSQL is installed here. Install it (apt-get install postgresql, brew install "
            f"postgresql) or name a server: {VARIABLE}=postgres://user:password@host:port/name"
        )
    user = ordinary_user()
    # Not the demo's own folder, which another user may not be allowed to enter.
    folder = children.make_folder(user)
    data, port = str(folder / "data"), free_port()
    making = [initdb, "--pgdata", data, "--username", "demo", "--auth", "trust", "--no-sync"]
    made = children.start(
        "initdb", [*making, "--encoding", "UTF8", "--locale", "C"], {"LC_ALL": "C"}, user=user
    )
    wait_until(lambda: not made.is_running)
    if made.process.returncode != 0:
        raise DemoError(f"{initdb} {made.end}.")
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    child = children.start(
        "postgres", [server, "-D", data, "-p", str(port), *options], {"LC_ALL": "C"}, user=user
    )
    wait_until(
        lambda: not child.is_running or is_ready(Path(data)),
        seconds=30,
        otherwise=f"{server} does not answer on port {port}, see {child.log}.",
    )
    if not child.is_running:
        raise DemoError(f"{server} {child.end}.")
    # Of the databases that initdb makes, the one for its users.
    return f"postgres://demo@{LOOPBACK}:{port}/postgres"


def is_ready(data: Path) -> bool:
    """Say what `pg_ctl --wait` looks at: line 8 of postmaster.pid."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7:8] == ["ready   "]
    except OSError:
        return False
