"""Take the pictures of the documentation: ``python -m tests.browser.screenshots``.

The demo's source has a week of visitors first, which takes half a minute. Pictures are as the
browser writes them; with a palette of 256 colours they are half as large.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.chromium import browser
from tests.demo.running import DEMO_SITE, environment, is_listening, manage
from tests.processes import Memcached, Redis, Server, free_port
from tests.servers import Servers

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parents[1] / "docs" / "images"
OVERVIEW = "/admin/fragcache/fragmentcache/"
FRAGMENT = f"{OVERVIEW}fragment/courses.subject_list/"
#: By the name of the picture: the page, the colours, and its width and height.
PICTURES = {
    "admin-overview-light": (f"{OVERVIEW}?last=24h", "light", 1280, 940),
    "admin-overview-dark": (f"{OVERVIEW}?last=7d", "dark", 1280, 940),
    "admin-overview-narrow": (f"{OVERVIEW}?last=24h", "light", 400, 1400),
    "admin-fragment-light": (f"{FRAGMENT}?last=24h", "light", 1280, 940),
    "admin-fragment-dark": (f"{FRAGMENT}?last=7d", "dark", 1280, 940),
    "admin-fragment-narrow": (f"{FRAGMENT}?last=24h", "light", 400, 1400),
    "admin-servers-light": (f"{OVERVIEW}servers/", "light", 1280, 500),
}
#: The same of a site whose Memcached has just been killed.
PICTURES_WITHOUT_MEMCACHED = {
    "admin-overview-down": (f"{OVERVIEW}?last=24h", "light", 1280, 940),
    "admin-servers-down": (f"{OVERVIEW}servers/", "dark", 1280, 500),
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        with source(Redis, "DEMO_REDIS_URL") as (address, _redis):
            for name, picture in PICTURES.items():
                take(chromium, address, folder / f"{name}.png", *picture)
        with source(Memcached, "DEMO_MEMCACHED") as (address, memcached):
            memcached.stop()
            for name, picture in PICTURES_WITHOUT_MEMCACHED.items():
                take(chromium, address, folder / f"{name}.png", *picture)


@contextmanager
def source(kind: type[Server], setting: str) -> Iterator[tuple[str, Server]]:
    """The demo's source site after a week over one server: its address, and the server."""
    with tempfile.TemporaryDirectory() as var:
        yield from _source(Path(var), kind, setting)


def _source(var: Path, kind: type[Server], setting: str) -> Iterator[tuple[str, Server]]:
    servers = Servers()
    cache = servers.new(kind)
    cache.start()
    settings = {"DEMO_CACHE": kind.name, setting: cache.address}
    manage(var, "migrate", "--verbosity=0")
    for command in ("make_superuser", "load_courses", "load_musics", "warm_fragments"):
        manage(var, command, **settings)
    script = f"import runpy; runpy.run_path({str(HERE / 'traffic.py')!r})"
    manage(var, "shell", "--verbosity=0", "-c", script, **settings)
    port = free_port()
    command = [sys.executable, str(DEMO_SITE / "manage.py"), "runserver", "--noreload", str(port)]
    site = subprocess.Popen(command, env=environment(var, **settings), stderr=subprocess.DEVNULL)
    try:
        while not is_listening(port):
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", cache
    finally:
        site.terminate()
        site.wait()
        servers.stop()


def take(
    chromium: Any, address: str, path: Path, page: str, colours: str, width: int, height: int
) -> None:
    viewport = {"width": width, "height": height}
    context = chromium.new_context(viewport=viewport, color_scheme=colours)
    tab = context.new_page()
    tab.goto(f"{address}/admin/login/?next={page}")
    tab.fill("#id_username", "demo")
    tab.fill("#id_password", "demo")
    tab.click("input[type=submit]")
    tab.wait_for_load_state()
    # The list of all pages of the admin at its left side; it is folded by who wants the room.
    if width > 1000:
        tab.click("#toggle-nav-sidebar")
    clip = {"x": 0, "y": 0, "width": width, "height": height}
    tab.screenshot(path=path, full_page=True, clip=clip)
    context.close()


if __name__ == "__main__":
    main()
