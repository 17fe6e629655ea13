"""The two sites as processes."""

import http.client
import sys
from pathlib import Path

from runner.errors import DemoError
from runner.ports import LOOPBACK
from runner.processes import Child, Children
from runner.signals import wait_until

MANAGE = str(Path(__file__).resolve().parents[1] / "manage.py")


def run_command(
    children: Children, environment: dict[str, str], *arguments: str, site: str = "source"
) -> None:
    """Run a management command of a site."""
    children.run(
        arguments[0], [sys.executable, MANAGE, *arguments], {**environment, "DEMO_SITE": site}
    )


def start_site(children: Children, environment: dict[str, str], site: str, port: int) -> Child:
    command = [sys.executable, MANAGE, "runserver", "--noreload", f"{LOOPBACK}:{port}"]
    return children.start(site, command, {**environment, "DEMO_SITE": site})


def wait_for_site(child: Child, port: int) -> None:
    """Return when the site answers.

    Raises:
        DemoError: it ended, or does not answer within 30 seconds.
    """
    wait_until(
        lambda: not child.is_running or status(port) is not None,
        seconds=30,
        otherwise=f"The {child.name} site does not answer on port {port}, see {child.log}.",
    )
    if not child.is_running:
        raise DemoError(f"The {child.name} site {child.end}.")
    if status(port) != 200:
        raise DemoError(
            f"The {child.name} site answers with status {status(port)}, see {child.log}."
        )


def status(port: int) -> int | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status
    except OSError:
        return None
    finally:
        connection.close()
