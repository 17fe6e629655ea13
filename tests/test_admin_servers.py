"""The admin's page of servers: what each one says, whose keys are meant, and who may look."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from fragcache.backends import FragmentBackend, ServerStats
from fragcache.backends.figures import Figures, figures_of
from tests.admin_pages import PERMISSIONS, address, text_of
from tests.admin_site import staff
from tests.processes import Server

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site")]
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


def page() -> str:
    answer = staff("view_fragmentcache").get(address("servers"))
    assert answer.status_code == 200
    return text_of(answer)


def use(settings: Any, backend: str, location: Any, **entry: Any) -> None:
    """Keep fragments in one cache of fragcache's."""
    path = f"fragcache.backends.{backend}"
    cache = {"BACKEND": path, "LOCATION": location, **entry}
    settings.CACHES = {**settings.CACHES, "special": cache}
    settings.FRAGCACHE = {"CACHE_ALIAS": "special"}


class TestFigures:
    @pytest.mark.parametrize(
        ("cache_alias", "version"),
        [("redis", "Redis|Valkey"), ("memcached", "Memcached"), ("embedded", "SQLite")],
        indirect=["cache_alias"],
    )
    def test_each_kind_of_server_says_what_it_is_and_how_full(
        self, cache_alias: str, version: str
    ) -> None:
        said = page()
        assert re.search(
            rf"answers(, primary)? ({version}) \d+\.\d+\S* [\d.]+\s(bytes|KB|MB)", said
        )
        assert "unreachable" not in said

    def test_the_hit_ratio_is_of_the_lookups(self, settings: Any, start_server: Any) -> None:
        server = start_server("memcached")
        use(settings, "memcached.MemcachedCache", server.address)
        caches["special"].set("there", b"1")
        for key in ("there", "there", "there", "absent"):
            caches["special"].get(key)
        assert "75.0 %" in page()

    def test_what_a_server_does_not_tell_is_none(self) -> None:
        assert figures_of(ServerStats(address="x", figures={"version": b"1.6"})) == Figures(
            version="Memcached 1.6"
        )
        nothing = figures_of(ServerStats(address="x", error="gone"))
        assert (nothing, nothing.hit_ratio) == (Figures(), None)

    def test_a_backend_of_djangos_says_what_it_cannot_tell(self, settings: Any) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        said = page()
        assert f"Cache alias locmem ({LOCMEM})" in said
        assert "This backend cannot ask its servers" in said


class TestDocuments:
    def test_json_and_csv_have_the_figures_as_numbers(
        self, settings: Any, memcached_address: str
    ) -> None:
        use(settings, "memcached.MemcachedCache", [memcached_address, "127.0.0.1:1"])
        client = staff("view_fragmentcache")
        live, dead = client.get(address("servers", format="json")).json()["rows"]
        assert (live["alias"], live["server"]) == ("special", memcached_address)
        assert isinstance(live["used"], int)
        assert live["limit"] >= 2**20
        assert (dead["used"], dead["error"][:10]) == (None, "Connection")
        table = client.get(address("servers", format="csv")).content.decode().splitlines()
        assert table[0].startswith("alias,keys,server,error,version,role,used,limit,evictions,")
        assert len(table) == 3


class TestTrouble:
    def test_a_dead_server_of_a_fleet_is_unreachable_and_the_other_answers(
        self, settings: Any, memcached_address: str
    ) -> None:
        use(settings, "memcached.MemcachedCache", [memcached_address, "127.0.0.1:1"])
        said = page()
        assert f"{memcached_address} answers Memcached" in said
        assert "127.0.0.1:1 unreachable : Connection" in said

    def test_a_dead_cache_says_so(self, settings: Any) -> None:
        use(settings, "redis.RedisCache", "redis://127.0.0.1:1/0")
        assert "127.0.0.1:1/0 unreachable : ConnectionError" in page()

    @pytest.mark.parametrize(
        "name", ["fragmentcache_changelist", "servers", "warm", "invalidate", "clear"]
    )
    def test_an_alias_that_nobody_knows_breaks_no_page(
        self, superuser: Client, settings: Any, declare: Any, name: str
    ) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        declare("x.html", name="library.far", using="locmen")(dict)
        answer = superuser.get(address(name))
        assert answer.status_code == 200
        if name == "servers":
            problem = "'locmen' is not an alias of CACHES. Did you mean 'locmem'?"
            assert problem in unescape(text_of(answer))

    def test_an_action_upon_an_alias_that_nobody_knows_says_so(
        self, superuser: Client, settings: Any, declare: Any
    ) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        declare("x.html", name="library.far", using="locmen", version=lambda: 1)(lambda: {"x": 1})
        instance = superuser.get(address("instance", fragment="library.far"))
        for answer in (
            instance,
            superuser.post(address("invalidate"), {"fragment": "library.far", "scope": "all"}),
            superuser.post(address("warm"), {"fragment": "library.far"}),
            superuser.post(address("clear")),
        ):
            assert answer.status_code == 200
            assert "'locmen' is not an alias of CACHES." in unescape(text_of(answer))

    def test_no_password_is_shown(self, settings: Any, start_server: Any) -> None:
        server: Server = start_server("redis")
        location = f"redis://operator:s3cret@127.0.0.1:{server.port}/0"  # no such user
        use(settings, "redis.RedisCache", location)
        html = staff("view_fragmentcache").get(address("servers")).content.decode()
        assert "AuthenticationError" in html
        assert "s3cret" not in html
        assert "operator" not in html

    def test_a_backend_that_breaks_its_promise_breaks_no_page(
        self, use_backend: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        use_backend(Broken)
        assert "unreachable : OSError; the log has more." in page()
        assert "h3art" in caplog.text
        assert "h3art" not in page()


class Broken(FragmentBackend):
    """A backend of a site's own, whose error tells a secret."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def server_stats(self) -> list[ServerStats]:
        raise OSError("redis://:h3art@host")


class TestDeployments:
    def test_it_says_whose_keys_are_meant(self, settings: Any, redis_url: str) -> None:
        use(settings, "redis.RedisCache", redis_url, KEY_PREFIX="shop", VERSION=3)
        assert "Its keys begin with shop:3: ." in page()

    def test_a_key_function_of_ones_own_is_told(self, settings: Any, redis_url: str) -> None:
        use(settings, "redis.RedisCache", redis_url, KEY_FUNCTION=f"{__name__}.tenants")
        assert (
            "Its keys begin with acme! as its KEY_FUNCTION makes them for this request." in page()
        )

    def test_each_alias_that_a_fragment_names_is_shown(
        self, settings: Any, declare: Any, memcached_address: str, redis_url: str
    ) -> None:
        declare("x.html", name="library.far", using="memcached")(dict)
        settings.FRAGCACHE = {"CACHE_ALIAS": "redis"}
        said = page()
        assert said.index("Cache alias redis") < said.index("Cache alias memcached")


def tenants(key: str, _prefix: str, _version: int) -> str:
    return f"acme!{key}"


class TestPermissions:
    def test_a_visitor_is_asked_to_log_in(self) -> None:
        answer = Client().get(address("servers"))
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (
            302,
            "/admin/login/",
        )

    @pytest.mark.parametrize("permission", PERMISSIONS)
    def test_staff_need_the_permission_to_view(self, permission: str, settings: Any) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        status = staff(permission).get(address("servers")).status_code
        assert status == (200 if permission == "view_fragmentcache" else 403)
        assert staff().get(address("servers")).status_code == 403
