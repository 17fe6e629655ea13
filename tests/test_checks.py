"""System checks: each mistake has its id, its value and its remedy; good settings have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core import checks, mail
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.models import DateTimeField, QuerySet
from django.utils import timezone

from fragcache.checks import check_plan
from fragcache.conf import NAMES
from tests.library.models import Album, Artist, Track
from tests.studio.models import Session

Declare = Callable[..., Any]
Templates = Callable[[Mapping[str, str]], None]

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
FILES = "django.core.cache.backends.filebased.FileBasedCache"
EMBEDDED = "fragcache.backends.embedded.EmbeddedCache"
NOWHERE = "redis://127.0.0.1:1/0"


class NoAxis:
    name = "no_axis"


def messages(**options: Any) -> list[CheckMessage]:
    """Return what all checks of the project say, as far as it is fragcache that speaks."""
    found = checks.run_checks(**options)
    return [message for message in found if str(message.id).startswith("fragcache.")]


def nothing() -> dict[str, Any]:
    return {}


class Said(NamedTuple):
    id: str | None
    text: str
    hint: str | None


def only(found: list[CheckMessage]) -> Said:
    (message,) = found
    return Said(message.id, message.msg, message.hint)


@pytest.fixture
def card(declare: Declare, templates: Templates) -> Any:
    """A fragment with which nothing is wrong."""
    templates({"card.html": "{{ artist.name }}"})
    return declare("card.html", name="library.card", items=Artist.objects.all)(
        lambda artist: {"artist": artist}
    )


@pytest.fixture
def alias(settings: Any) -> Callable[..., None]:
    """A function that sets the cache that fragments are kept in."""

    def use(backend: str, location: str = "", **params: Any) -> None:
        cache = {"BACKEND": backend, "LOCATION": location, **params}
        settings.CACHES = {"default": {"BACKEND": LOCMEM}, "fragments": cache}

    return use


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"TIMEOUT": None, "INVALIDATION_LAG": 0, "PAGE_BUDGET": 0.05, "LOCAL_MAX_BYTES": 0},
        {"SECRET_KEYS": ["one", "two"], "AXES": ["tests.test_axes.Tenant"], "READ_ONLY": True},
        {"SECRET_KEYS": ("one",), "AXES": (), "CACHE_ALIAS": "embedded"},
    ],
    ids=["nothing", "numbers", "lists", "tuples"],
)
def test_good_settings_have_no_messages(settings: Any, given: dict[str, Any]) -> None:
    settings.FRAGCACHE = given

    assert messages() == []


@pytest.mark.django_db
@pytest.mark.usefixtures("card")
def test_good_settings_have_no_messages_where_databases_are_checked() -> None:
    Artist.objects.create(name="Nina")

    assert messages(databases=["default"]) == []


@pytest.mark.usefixtures("card")
def test_the_checks_stop_a_command(settings: Any) -> None:
    settings.FRAGCACHE = {"TIEMOUT": 5}

    with pytest.raises(SystemCheckError, match=r"\(fragcache\.E002\) FRAGCACHE has no setting"):
        call_command("check")


# E001 to E005: the settings


@pytest.mark.parametrize("given", [None, [], "x"], ids=repr)
def test_e001_the_setting_is_no_dict(settings: Any, given: object) -> None:
    settings.FRAGCACHE = given

    assert only(messages()) == Said(
        "fragcache.E001",
        f"FRAGCACHE is {given!r}, not a dict.",
        "Write FRAGCACHE = {...}.",
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("TIEMOUT", " Did you mean 'TIMEOUT'?"),
        ("CACHE", " Did you mean 'CACHE_ALIAS'?"),
        ("QQQ", ""),
        ("timeout", ""),
    ],
)
def test_e002_an_unknown_setting(settings: Any, name: str, nearest: str) -> None:
    settings.FRAGCACHE = {name: 5}

    assert only(messages()) == Said(
        "fragcache.E002",
        f"FRAGCACHE has no setting {name!r}.{nearest}",
        f"Settings are {', '.join(NAMES)}.",
    )


def test_e003_the_setting_names_an_unknown_alias(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": LOCMEM}, "fragments": {"BACKEND": LOCMEM}}
    settings.FRAGCACHE = {"CACHE_ALIAS": "fragment"}

    assert only(messages()) == Said(
        "fragcache.E003",
        "FRAGCACHE['CACHE_ALIAS'] is 'fragment', which is not in CACHES. Did you mean 'fragments'?",
        "CACHES has default, fragments.",
    )


@pytest.mark.parametrize(
    ("using", "hint"), [("embeded", "Did you mean 'embedded'?"), ("qqq", None)]
)
def test_e003_a_fragment_names_an_unknown_alias(
    declare: Declare, templates: Templates, using: str, hint: str | None
) -> None:
    templates({"x.html": ""})
    for name in ("library.a", "library.b"):
        declare("x.html", name=name, using=using)(nothing)

    assert only(messages()) == Said(
        "fragcache.E003",
        f"The cache alias {using!r} is not in CACHES; library.a, library.b would be kept there.",
        hint,
    )


@pytest.mark.parametrize(
    "value", ["secret", ["ok", ""], [b"bytes"], None, 5, {"a": 1}, [None]], ids=repr
)
def test_e004_secret_keys_that_are_no_list_of_texts(settings: Any, value: object) -> None:
    settings.FRAGCACHE = {"SECRET_KEYS": value}

    assert only(messages()) == Said(
        "fragcache.E004",
        "FRAGCACHE['SECRET_KEYS'] is not a list of texts.",
        "Write a list: the first key seals, all of them verify.",
    )


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("value", ["tests.test_axes.Tenant", None, [NoAxis], 5], ids=repr)
def test_e004_axes_that_are_no_list_of_texts(settings: Any, value: object) -> None:
    settings.FRAGCACHE = {"AXES": value}

    assert only(messages()) == Said(
        "fragcache.E004",
        "FRAGCACHE['AXES'] is not a list of texts.",
        "Write a list of dotted paths.",
    )


@pytest.mark.parametrize(
    ("name", "value", "unit", "none"),
    [
        ("TIMEOUT", "300", "seconds", ", or None."),
        ("TIMEOUT", -1, "seconds", ", or None."),
        ("TIMEOUT", True, "seconds", ", or None."),
        ("INVALIDATION_LAG", None, "seconds", "."),
        ("PAGE_BUDGET", "fast", "seconds", ", or None."),
        ("LOCAL_MAX_BYTES", -5, "bytes", "."),
        ("LOCAL_MAX_BYTES", None, "bytes", "."),
    ],
)
def test_e004_a_value_that_is_no_number(
    settings: Any, name: str, value: object, unit: str, none: str
) -> None:
    settings.FRAGCACHE = {name: value}

    assert only(messages()) == Said(
        "fragcache.E004",
        f"FRAGCACHE[{name!r}] is {value!r}, not a number of {unit}.",
        f"Use a number that is not negative{none}",
    )


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("value", ["", 5, ["warm"]], ids=repr)
def test_e004_a_queue_that_is_no_name(settings: Any, value: object) -> None:
    settings.FRAGCACHE = {"QUEUE": value}

    assert only(messages()) == Said(
        "fragcache.E004",
        f"FRAGCACHE['QUEUE'] is {value!r}, not a name or None.",
        "Write the name of the queue that your workers serve, or leave it out.",
    )


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    "value", ["cache", "database", "file", "file:/run/site/no/such/folder/warm.lock"]
)
def test_locks_that_may_be_chosen(settings: Any, value: str) -> None:
    if value == "database" and connection.vendor == "sqlite":
        pytest.skip("SQLite has no such locks.")
    settings.FRAGCACHE = {"LOCK": value}

    assert messages() == []


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("databse", "'databse', which is no kind of lock. Did you mean 'database'?"),
        ("cache:", "'cache:', which is no kind of lock. Did you mean 'cache'?"),
        ("/run/warm.lock", "'/run/warm.lock', which is no kind of lock."),
        (None, "None, which is no kind of lock."),
        (5, "5, which is no kind of lock."),
    ],
)
def test_e004_a_lock_of_no_known_kind(settings: Any, value: object, problem: str) -> None:
    settings.FRAGCACHE = {"LOCK": value}

    assert only(messages()) == Said(
        "fragcache.E004",
        f"FRAGCACHE['LOCK'] is {problem}",
        "Use 'cache', 'database', 'file', or 'file:' with an absolute path.",
    )


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("value", ["file:", "file:warm.lock", "file:~/warm.lock"])
def test_e004_a_lock_in_a_file_that_depends_on_where_one_stands(settings: Any, value: str) -> None:
    settings.FRAGCACHE = {"LOCK": value}

    assert only(messages()) == Said(
        "fragcache.E004",
        f"FRAGCACHE['LOCK'] is {value!r}, which has no absolute path.",
        "Write it from the root, such as 'file:/run/site/warm.lock'.",
    )


@pytest.mark.usefixtures("card")
def test_e004_a_lock_in_a_file_where_there_are_none(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragcache.warming.locks.file.fcntl", None)
    settings.FRAGCACHE = {"LOCK": "file"}

    assert only(messages()) == Said(
        "fragcache.E004",
        "FRAGCACHE['LOCK'] is 'file'. This system has no flock().",
        "Use 'cache' or 'database'.",
    )


@pytest.mark.django_db
@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("engine", ["django.db.backends.sqlite3", "django.db.backends.dummy"])
def test_e004_a_lock_in_a_database_that_has_none(
    settings: Any, runs_in: Any, tmp_path: Path, engine: str
) -> None:
    runs_in(ENGINE=engine, NAME=str(tmp_path / "database"))
    settings.FRAGCACHE = {"LOCK": "database"}

    assert only(messages()) == Said(
        "fragcache.E004",
        "FRAGCACHE['LOCK'] is 'database'. PostgreSQL, MySQL and MariaDB hold locks; "
        f"{engine!r} does not.",
        "Use 'cache', or 'file' where all runs are on one machine.",
    )


@pytest.mark.usefixtures("card")
def test_e004_a_lock_in_a_database_that_is_not_set(settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["tests.recorded_runs.Router"]
    settings.FRAGCACHE = {"LOCK": "database"}

    message = only(messages())

    assert message.id == "fragcache.E004"
    assert message.text.startswith("FRAGCACHE['LOCK'] is 'database'. The connection '__no_db__'")


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        pytest.param(
            "tests.no_such.Axis",
            "cannot be imported: No module named 'tests.no_such'",
            id="no module",
        ),
        pytest.param(
            "tests.test_axes.Tennant",
            'cannot be imported: Module "tests.test_axes" does not define a "Tennant" '
            "attribute/class",
            id="no class",
        ),
        pytest.param(
            "Tenant", "cannot be imported: Tenant doesn't look like a module path", id="no path"
        ),
        pytest.param(
            "tests.test_checks.NoAxis", "is no subclass of fragcache.Axis with a name", id="no axis"
        ),
        pytest.param(
            "fragcache.axes.Axis", "is no subclass of fragcache.Axis with a name", id="no name"
        ),
        pytest.param(
            "fragcache.axes.plan", "is no subclass of fragcache.Axis with a name", id="a function"
        ),
    ],
)
def test_e005_an_axis_that_is_none(settings: Any, path: str, problem: str) -> None:
    settings.FRAGCACHE = {"AXES": [path]}

    (message,) = messages()

    assert message.id == "fragcache.E005"
    assert message.msg.startswith(f"FRAGCACHE['AXES'] names {path!r}, which {problem}")


# W004: languages


@pytest.mark.parametrize(
    ("options", "changed", "is_warned"),
    [
        ({}, {}, True),
        ({"vary_on": ["-language"]}, {}, False),
        ({}, {"LANGUAGES": [("en", "English")]}, False),
        ({}, {"MIDDLEWARE": []}, False),
    ],
)
def test_w004_locale_middleware_asks_for_languages_that_are_not_warmed(
    declare: Declare,
    templates: Templates,
    settings: Any,
    options: dict[str, Any],
    changed: dict[str, Any],
    is_warned: bool,
) -> None:
    templates({"x.html": ""})
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    for name, value in changed.items():
        setattr(settings, name, value)
    declare("x.html", name="library.menu", **options)(nothing)

    found = [message for message in messages() if message.id == "fragcache.W004"]

    assert bool(found) is is_warned
    if is_warned:
        assert "library.menu will be warmed in en-us alone" in found[0].msg


# E006, E007, E010, W001, W002: the caches


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("backend", [LOCMEM, "django.core.cache.backends.dummy.DummyCache"])
def test_e006_a_cache_of_one_process_cannot_be_warmed(
    alias: Callable[..., None], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias(backend)
    assert messages() == []  # tests are one process
    monkeypatch.delattr(mail, "outbox")

    (message,) = messages()

    assert message.id == "fragcache.E006"
    assert message.msg == (
        f"The cache alias 'fragments' ({backend.rpartition('.')[2]}) is seen by one process only, "
        "but warm_fragments fills it for others (library.card)."
    )
    assert message.hint is not None
    assert message.hint.startswith("Use fragcache.backends.redis.RedisCache, ")


def test_a_cache_of_one_process_serves_fragments_that_are_not_warmed(
    declare: Declare, templates: Templates, alias: Callable[..., None]
) -> None:
    templates({"x.html": ""})
    declare("x.html", name="library.menu")(nothing)
    alias(LOCMEM)

    assert messages() == []


@pytest.mark.usefixtures("card")
def test_e007_a_cache_that_unpickles(alias: Callable[..., None], tmp_path: Path) -> None:
    alias(FILES, str(tmp_path))

    (message,) = messages()

    assert message.id == "fragcache.E007"
    assert message.msg == (
        "The cache alias 'fragments' (FileBasedCache) unpickles what it reads: whoever writes to "
        "that cache runs code on this site."
    )
    assert message.hint is not None
    assert message.hint.endswith("To accept the risk, silence this check.")


@pytest.mark.usefixtures("card")
def test_a_cache_that_no_fragment_is_kept_in_is_not_checked(settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": FILES, "LOCATION": str(tmp_path)},
        "fragments": {"BACKEND": EMBEDDED, "LOCATION": str(tmp_path / "cache")},
    }

    assert messages() == []


@pytest.mark.usefixtures("card")
def test_e010_a_key_prefix_that_leaves_no_room(alias: Callable[..., None], tmp_path: Path) -> None:
    alias(EMBEDDED, str(tmp_path / "cache"), KEY_PREFIX="x" * 150, VERSION=3)

    assert only(messages()) == Said(
        "fragcache.E010",
        "The cache alias 'fragments': KEY_PREFIX and VERSION of the cache alias leave 47 of the "
        "200 bytes of a key; at least 60 are needed. Shorten KEY_PREFIX.",
        None,
    )


@pytest.fixture
def two_artists(db: None) -> None:
    Artist.objects.bulk_create([Artist(name="Nina"), Artist(name="Ella")])


@pytest.mark.usefixtures("card", "two_artists")
@pytest.mark.parametrize(("largest", "fits"), [(3, False), (4, True)])
def test_w001_a_cache_that_culls_what_is_warmed(
    alias: Callable[..., None], tmp_path: Path, largest: int, fits: bool
) -> None:
    """Two instances: an entry and a head for each."""
    alias(FILES, str(tmp_path), OPTIONS={"MAX_ENTRIES": largest})

    found = check_plan(databases=["default"])

    if fits:
        assert found == []
    else:
        assert only(found) == Said(
            "fragcache.W001",
            "The cache alias 'fragments' keeps at most 3 values; the fragments that are warmed "
            "there need 4: an entry and a head for each instance under each combination of axis "
            "values.",
            "Raise OPTIONS['MAX_ENTRIES'], or use a backend without that limit.",
        )


@pytest.mark.usefixtures("card")
def test_w001_counts_rows_only_where_databases_are_checked(
    alias: Callable[..., None], tmp_path: Path
) -> None:
    """This test may not use the database, so a query would be an error."""
    alias(FILES, str(tmp_path), OPTIONS={"MAX_ENTRIES": 1})

    assert check_plan() == check_plan(databases=[]) == []


@pytest.mark.usefixtures("card", "two_artists")
def test_w001_counts_every_combination_of_axis_values(
    settings: Any, alias: Callable[..., None], tmp_path: Path
) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French")]
    alias(FILES, str(tmp_path), OPTIONS={"MAX_ENTRIES": 1})

    assert "need 12:" in only(check_plan(databases=["default"])).text


@pytest.mark.parametrize(
    ("options", "function"),
    [
        pytest.param({"vary_on": ["langauge"]}, nothing, id="axis"),
        pytest.param({}, lambda *args: {}, id="signature"),
    ],
)
def test_w001_leaves_wrong_declarations_to_e009(
    declare: Declare,
    alias: Callable[..., None],
    tmp_path: Path,
    options: dict[str, Any],
    function: Any,
) -> None:
    alias(FILES, str(tmp_path))
    declare("x.html", name="library.card", **options)(function)

    assert check_plan(databases=["default"]) == []


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("backend", "location", "option"),
    [
        ("django.core.cache.backends.redis.RedisCache", NOWHERE, "socket_timeout"),
        ("django_redis.cache.RedisCache", NOWHERE, "SOCKET_TIMEOUT"),
        ("django.core.cache.backends.memcached.PyMemcacheCache", "127.0.0.1:1", "timeout"),
    ],
)
def test_w002_a_cache_without_time_outs_would_hang_the_pages(
    alias: Callable[..., None], backend: str, location: str, option: str
) -> None:
    alias(backend, location)
    found = [message for message in messages() if message.id == "fragcache.W002"]
    kind = backend.rpartition(".")[2]

    assert only(found) == Said(
        "fragcache.W002",
        f"The cache alias 'fragments' ({kind}) has no time-outs of its own: a server that hangs "
        "would hang the pages.",
        f"Set OPTIONS[{option!r}] to less than a second, or use fragcache's backend, which does.",
    )

    alias(backend, location, OPTIONS={option: 0.2})
    assert "fragcache.W002" not in {message.id for message in messages()}


# E008, E009: the declarations


def test_e008_a_template_that_does_not_exist(declare: Declare) -> None:
    declare("library/no_such.html", name="library.card")(nothing)

    assert only(messages()) == Said(
        "fragcache.E008",
        "library.card: the template library/no_such.html does not exist.",
        "Correct the declaration, or add the template.",
    )


def test_e008_a_parent_that_does_not_exist(declare: Declare, templates: Templates) -> None:
    templates({"x.html": "{% extends 'parent.html' %}"})
    declare("x.html", name="library.card")(nothing)

    (message,) = messages()

    assert message.id == "fragcache.E008"


@pytest.mark.parametrize(
    ("options", "function", "message"),
    [
        pytest.param(
            {"vary_on": ["langauge"]},
            nothing,
            "library.card: 'langauge' is not an axis. Did you mean 'language'?",
            id="axis",
        ),
        pytest.param(
            {},
            lambda *args: {},
            "library.card: its function takes *args (variadic positional)",
            id="signature",
        ),
        pytest.param(
            {"choices": {"size": [1]}},
            lambda variant: {},
            "library.card: choices names 'size', which is not a parameter.",
            id="choices",
        ),
        pytest.param(
            {"model": "library.Albun"},
            lambda album: {},
            "library.card: model='library.Albun': ",
            id="model",
        ),
    ],
)
def test_e009_a_declaration_that_contradicts_itself(
    declare: Declare, templates: Templates, options: dict[str, Any], function: Any, message: str
) -> None:
    templates({"x.html": ""})
    declare("x.html", name="library.card", **options)(function)

    (found,) = messages()

    assert found.id == "fragcache.E009"
    assert found.msg.startswith(message)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{% if %}", "Unexpected end of expression in if tag"),
        ("{% extends name %}", "A fragment's template extends name, which only a render knows"),
        ("{% no_such_tag %}", "Invalid block tag on line 1: 'no_such_tag'"),
    ],
)
def test_e009_a_template_that_is_wrong(
    declare: Declare, templates: Templates, source: str, problem: str
) -> None:
    templates({"x.html": source})
    declare("x.html", name="library.card")(nothing)

    (found,) = messages()

    assert found.id == "fragcache.E009"
    assert found.msg.startswith("library.card: ")
    assert problem in found.msg


def test_each_wrong_declaration_has_its_message(declare: Declare, templates: Templates) -> None:
    templates({"good.html": ""})
    declare("good.html", name="library.a")(nothing)
    declare("none.html", name="library.b")(nothing)
    declare("none.html", name="library.c")(nothing)

    assert [message.msg.partition(":")[0] for message in messages()] == ["library.b", "library.c"]


@pytest.mark.parametrize(
    ("sizes", "number"), [((10, 10), None), ((10, 11), "110"), ((2, 1000), "2,000")]
)
def test_w012_more_entries_for_each_item_than_are_meant(
    declare: Declare, templates: Templates, sizes: tuple[int, int], number: str | None
) -> None:
    templates({"card.html": "{{ size }}"})
    choices = {"size": range(sizes[0]), "colour": range(sizes[1])}

    @declare("card.html", name="library.card", items=Artist.objects.all, choices=choices)
    def card(artist: Artist, size: int, colour: int) -> dict[str, Any]:
        return {"size": size}

    found = messages()
    if number is None:
        assert found == []
        return
    said = only(found)
    assert said.id == "fragcache.W012"
    product = f"{sizes[0]:,} sizes x {sizes[1]:,} colours = {number}."
    assert said.text == (
        f"library.card: warm_fragments makes {number} entries for each item: {product}"
    )


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (
            ["tests.test_axes.Tenant"],
            "is no subclass of fragcache.additions.Addition with a name",
        ),
        (["tests.nowhere.Titles"], "cannot be imported"),
        ("tests.test_additions.Titles", "is not a list of texts"),
    ],
)
def test_e004_and_e005_what_is_no_addition(settings: Any, paths: Any, problem: str) -> None:
    settings.FRAGCACHE = {"ADDITIONS": paths}

    said = only(messages())

    assert said.id == ("fragcache.E004" if isinstance(paths, str) else "fragcache.E005")
    assert problem in said.text


@pytest.mark.parametrize("hosts", [["*", ".example.com"], ["www.example.com"]])
def test_w013_a_host_is_to_be_known(
    declare: Declare, templates: Templates, settings: Any, hosts: list[str]
) -> None:
    templates({"card.html": ""})
    settings.ALLOWED_HOSTS = hosts
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django.contrib.sites"
    ]
    declare("card.html", name="library.card", vary_on=["host"])(nothing)

    found = [(said.id, said.msg.partition(":")[0]) for said in messages()]

    assert found == ([("fragcache.W013", "library.card")] if "*" in hosts else [])


class TestVersionsThatStayBehind:
    @pytest.mark.parametrize(
        ("model", "paths"),
        [
            (Album, "updated_at"),
            (Track, ["pk", "album__updated_at"]),
            (Album, ["artist", "updated_at"]),
        ],
    )
    def test_a_version_that_only_save_moves_is_a_warning(
        self, declare: Declare, templates: Templates, model: Any, paths: Any
    ) -> None:
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=model.objects.all(), version=paths)(
            lambda row: {}
        )

        said = only(messages())

        assert said.id == "fragcache.W005"
        assert "is library.Album.updated_at, which auto_now moves at save() alone" in said.text
        assert said.text.startswith("library.card: its version ")
        assert said.hint is not None
        assert said.hint.startswith("Derive library.Album from fragcache.models.TouchedModel")

    @pytest.mark.parametrize(
        ("model", "paths"),
        [(Artist, "updated_at"), (Album, ["artist__updated_at"]), (Artist, ["pk", "updated_at"])],
    )
    def test_nor_does_a_time_that_the_site_moves_itself(
        self, declare: Declare, templates: Templates, model: Any, paths: Any
    ) -> None:
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=model.objects.all(), version=paths)(
            lambda row: {}
        )

        said = only(messages())

        assert said.id == "fragcache.W005"
        assert "is library.Artist.updated_at, which nothing moves but code of the" in said.text
        assert said.hint is not None
        assert 'add "fragcache.W005" to SILENCED_SYSTEM_CHECKS' in said.hint

    def test_nor_does_a_field_that_saves_by_itself(
        self, declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class ModifiedField(DateTimeField):  # type: ignore[type-arg]
            def pre_save(self, row: Any, add: bool) -> Any:
                return timezone.now()

        monkeypatch.setattr(Artist._meta.get_field("updated_at"), "__class__", ModifiedField)
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=Artist.objects.all(), version="updated_at")(
            lambda row: {}
        )

        assert "which a ModifiedField moves at save() alone" in only(messages()).text

    def test_a_queryset_that_moves_times_itself_is_trusted(
        self, declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Moving(QuerySet):  # type: ignore[type-arg]
            def update(self, **values: Any) -> int:
                return super().update(**values, updated_at=timezone.now())

        monkeypatch.setattr(Artist._default_manager, "_queryset_class", Moving)
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=Artist.objects.all(), version="updated_at")(
            lambda row: {}
        )

        assert messages() == []

    def test_nor_does_the_time_at_which_a_row_was_made(
        self, declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Artist._meta.get_field("updated_at"), "auto_now_add", True)
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=Artist.objects.all(), version="updated_at")(
            lambda row: {}
        )

        assert "which never moves once a row is made" in only(messages()).text

    @pytest.mark.parametrize(
        ("model", "paths"),
        [
            (Session, ["updated_at", "band__updated_at"]),
            (Session, ["updated_at", "pk"]),
            (Album, ["pk", "artist__updated_at", "artist__name"]),
            (Artist, ["updated_at", "name"]),
            (Artist, ["name", "pk"]),
            (Artist, None),
        ],
    )
    def test_others_are_not(
        self, declare: Declare, templates: Templates, model: Any, paths: Any
    ) -> None:
        templates({"card.html": ""})
        declare("card.html", name="library.card", items=model.objects.all(), version=paths)(
            lambda row: {}
        )

        assert messages() == []
