"""Digests: every change of what makes the output changes them, and nothing else does."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import checks
from django.template import TemplateDoesNotExist, engines
from django.test import override_settings
from django.utils import translation
from django.utils.translation import gettext

from fragcache import Fragment, ImproperlyDeclared, digests, registry
from fragcache.codes import code_parts
from fragcache.digests import OUTPUT_SETTINGS, digest_of, includes_digest
from fragcache.entry import Entry, Field, Kind, pack_fields
from fragcache.rendering import render_many
from fragcache.slots import includes_are_current
from tests.library.models import Album

Declare = Callable[..., Any]
Templates = Callable[[Mapping[str, str]], None]

PAGE = """{% extends 'base.html' %}{% load shop_tags fragcache %}{% block main %}
{% include 'part.html' %}{% if never %}{% include 'none.html' %}{% endif %}
{% for name in names %}{% if name|shout == 'A' %}{{ name|lower|spread:5 }}{% endif %}{% endfor %}
{% badge name %}{% stars 5 as stars %}{% stamp %}inside{% endstamp %}
{% fragment 'shop.inner' name %}{% fragments 'shop.listed' names %}{% endblock %}"""

TAGS = """
import functools
from django import template
from django.template.defaultfilters import stringfilter

register = template.Library()
STAR = "*"

@register.filter
@stringfilter
def shout(text):
    return text.upper()

@register.filter
@functools.lru_cache
def spread(text, width):
    return text.center(width)

@register.inclusion_tag("badge.html")
def badge(name):
    return {"name": name.strip()}

@register.simple_tag
def stars(number):
    return STAR * number

class StampNode(template.Node):
    def __init__(self, nodelist):
        self.nodelist = nodelist

    def render(self, context):
        return f"<p>{self.nodelist.render(context)}</p>"

@register.tag
def stamp(parser, token):
    nodelist = parser.parse(["endstamp"])
    parser.delete_first_token()
    return StampNode(nodelist)

def unrelated():
    return 1
"""

CODE = """
import functools
from decimal import Decimal
from django.utils.translation import gettext_lazy, ngettext_lazy
from fragcache import Fragment, fragment, register

RATE = Decimal("1.20")
KINDS = {"old", "new", "used", "rare"}
LABELS = {"title": gettext_lazy("Title"), "many": ngettext_lazy("%d hit", "%d hits")}
seen = {}
first = lambda name: name + "1"
second = lambda name: name + "2"

def decorated(function):
    @functools.wraps(function)
    def inner(*args):
        return {"logged": True, **function(*args)}
    return inner

@functools.lru_cache
def discount(price):
    return price - 5

def logged(function):
    return lambda *args: function(*args)

@logged
def rounded(price):
    return price // 2

def helper(name):
    return deeper(name), discount(7), rounded(7)

def deeper(name):
    return first(name) + second(name)

class Bag:
    def label(self):
        return "a bag"

class Basket(Bag):
    size = 3
    cache = {}

    @property
    def total(self):
        return self.size * 2

    @staticmethod
    def empty():
        return 0

def stamp(name="x"):
    return 1

@fragment("page.html", name="shop.page", version=stamp)
@decorated
def page(name="x"):
    seen[name] = KINDS
    return {"name": helper(name), "rate": RATE, "label": LABELS, "basket": Basket()}

@fragment("inner.html", name="shop.inner")
def inner(name):
    return {"name": name}

@register
class Listed(Fragment):
    name = "shop.listed"
    template_name = "listed.html"

    def get_contexts(self, items):
        return [{"item": item} for item in items]

def unrelated():
    return 1
"""


def nothing() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Release:
    """A site as one release of it is."""

    templates: Mapping[str, str]
    code: str = CODE
    tags: str = TAGS
    settings: Mapping[str, Any] = field(default_factory=dict)


RELEASE = Release(
    templates={
        "page.html": PAGE,
        "base.html": "{% extends 'root.html' %}",
        "root.html": "<main>{% block main %}{% endblock %}</main>",
        "part.html": "{% with a=b %}{% include 'nested.html' %}{% endwith %}",
        "nested.html": "nested",
        "badge.html": "<b>{{ name }}</b>",
        "inner.html": "<i>{{ name }}</i>",
        "listed.html": "{% include 'listed_part.html' %}",
        "listed_part.html": "<li>",
        "unrelated.html": "unrelated",
    }
)


def module(name: str, source: str) -> types.ModuleType:
    """Return a module as an import would have made it of ``source``."""
    made = types.ModuleType(name)
    with importable(made):
        exec(compile(source, f"{name}.py", "exec"), made.__dict__)
    return made


@contextmanager
def importable(made: types.ModuleType) -> Iterator[None]:
    sys.modules[made.__name__] = made
    try:
        yield
    finally:
        del sys.modules[made.__name__]


def template_settings(loaders: list[Any], **options: Any) -> list[dict[str, Any]]:
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": loaders, **options},
        }
    ]


def cached(loader: Any) -> list[Any]:
    return [("django.template.loaders.cached.Loader", [loader])]


def locmem(templates: Mapping[str, str]) -> Any:
    return ("django.template.loaders.locmem.Loader", dict(templates))


@contextmanager
def deployed(release: Release) -> Iterator[None]:
    """Run a release in this process."""
    declared = dict(registry._fragments)
    with ExitStack() as stack:
        stack.enter_context(importable(module("shop_tags", release.tags)))
        stack.enter_context(
            override_settings(
                TEMPLATES=template_settings(
                    cached(locmem(release.templates)), libraries={"shop_tags": "shop_tags"}
                ),
                **release.settings,
            )
        )
        try:
            module("shop.fragments", release.code)
            yield
        finally:
            registry._fragments.clear()
            registry._fragments.update(declared)


def digest(release: Release) -> str:
    """Return the digest of the page as a process of that release computes it."""
    with deployed(release):
        return digest_of(registry.get("shop.page"))


def changed(release: Release, part: str, old: str, new: str) -> Release:
    if part in {"code", "tags"}:
        source = getattr(release, part)
        assert source.count(old) == 1
        return replace(release, **{part: source.replace(old, new)})
    source = release.templates.get(part, "")
    assert old in source
    return replace(release, templates={**release.templates, part: source.replace(old, new, 1)})


# What changes a digest

CHANGES = [
    ("the template", "page.html", "inside", "outside"),
    ("an extended template", "base.html", "%}", "%}{% block a %}{% endblock %}"),
    ("what an extended template extends", "root.html", "main", "div"),
    ("an included template", "part.html", "a=b", "a=c"),
    ("a template that an included one includes", "nested.html", "nested", "changed"),
    ("an included template that was missing", "none.html", "", "here now"),
    ("the template of an inclusion tag", "badge.html", "<b>", "<b class='x'>"),
    ("the template of a fragment that is shown", "inner.html", "<i>", "<em>"),
    ("the template of fragments that are listed", "listed.html", "{%", "<ol>{%"),
    ("what the template of a shown fragment includes", "listed_part.html", "<li>", "<dt>"),
    ("the code of a filter in a condition, behind its decorator", "tags", "upper", "title"),
    ("the code of a filter that keeps its results", "tags", "center", "ljust"),
    ("the code of a simple tag", "tags", "STAR * number", "number * STAR + STAR"),
    ("a constant that a tag names", "tags", '"*"', '"+"'),
    ("the code of an inclusion tag", "tags", "name.strip()", "name.lstrip()"),
    ("the class of a tag", "tags", "<p>{", "<div>{"),
    ("the context function, behind its decorator", "code", '"rate": RATE', '"rate": 1'),
    ("the decorator of the context function", "code", '"logged": True', '"logged": False'),
    ("the default of a parameter", "code", 'def page(name="x")', 'def page(name="y")'),
    ("a function that the context function calls", "code", "discount(7)", "discount(8)"),
    ("a function that keeps its results", "code", "price - 5", "price - 6"),
    ("a function behind a decorator that hides it", "code", "price // 2", "price // 3"),
    ("the first of two functions of one name", "code", 'name + "1"', 'name + "3"'),
    ("the second of two functions of one name", "code", 'name + "2"', 'name + "3"'),
    ("a decimal that the context function names", "code", '"1.20"', '"1.10"'),
    ("a set that the context function names", "code", '"rare"', '"rarer"'),
    ("a text that is translated later", "code", '"Title"', '"Name"'),
    ("a plural that is translated later", "code", '"%d hits"', '"%d finds"'),
    ("a property of a class that it names", "code", "self.size * 2", "self.size * 3"),
    ("a method that a class inherits", "code", '"a bag"', '"a sack"'),
    ("a static method of a class that it names", "code", "return 0", "return 7"),
    ("a constant of a class that it names", "code", "size = 3", "size = 4"),
    ("the function that is the version", "code", "return 1\n\n@fragment", "return 2\n\n@fragment"),
    (
        "the context function of a shown fragment",
        "code",
        'return {"name": name}',
        'return {"name": [name]}',
    ),
    ("the bulk contexts of a shown fragment", "code", '"item": item}', '"item": [item]}'),
    ("the axes of a shown fragment", "code", 'shop.inner"', 'shop.inner", vary_on=["site"]'),
    ("the revision of a shown fragment", "code", 'shop.inner"', 'shop.inner", revision=2'),
    ("revision=", "code", '"shop.page"', '"shop.page", revision=2'),
    ("vary_on=", "code", '"shop.page"', '"shop.page", vary_on=["site"]'),
    ("a refused axis", "code", '"shop.page"', '"shop.page", vary_on=["-language"]'),
    ("model=", "code", '"shop.page"', '"shop.page", model="library.Album"'),
]


@pytest.mark.parametrize(
    ("part", "old", "new"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_change_of_what_makes_the_output_changes_the_digest(
    part: str, old: str, new: str
) -> None:
    assert digest(changed(RELEASE, part, old, new)) != digest(RELEASE)


ANOTHER_VALUE: dict[str, Any] = {
    "FIRST_DAY_OF_WEEK": 1,
    "LANGUAGE_CODE": "de",
    "NUMBER_GROUPING": 3,
    "TIME_ZONE": "Europe/Vienna",
    "USE_I18N": False,
    "USE_THOUSAND_SEPARATOR": True,
    "USE_TZ": False,
}


@pytest.mark.parametrize("name", OUTPUT_SETTINGS)
def test_a_setting_that_shows_in_output_changes_the_digest(name: str) -> None:
    settings = {name: ANOTHER_VALUE.get(name, "/another/")}

    assert digest(replace(RELEASE, settings=settings)) != digest(RELEASE)


def test_djangos_version_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(RELEASE)
    monkeypatch.setattr(django, "get_version", lambda: "9.9")

    assert digest(RELEASE) != before


@pytest.mark.parametrize("attribute", ["__str__", "price", "page_count"])
def test_a_method_of_the_model_changes_the_digest(
    declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    templates({"x.html": "{{ album }}"})
    card = declare("x.html", name="library.card", items=Album.objects.all)(lambda album: {})
    before = digest_of(card)
    made: Any = {"price": property(lambda album: 5), "page_count": 7}
    value = made.get(attribute, lambda album: "another")
    monkeypatch.setattr(Album, attribute, value, raising=False)

    digests.forget()

    assert digest_of(card) != before


def mo_file(messages: Mapping[str, str]) -> bytes:
    """Return a compiled catalog: https://www.gnu.org/software/gettext/manual/html_node/MO-Files"""
    pairs = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    texts = [text.encode() for text in (*sorted(pairs), *(pairs[key] for key in sorted(pairs)))]
    offset = 28 + 8 * len(texts)
    table = b""
    for text in texts:
        table += struct.pack("<2I", len(text), offset)
        offset += len(text) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 4 * len(texts), 0, 0)
    return header + table + b"".join(text + b"\0" for text in texts)


def with_catalog(directory: Path, language: str, messages: Mapping[str, str]) -> Release:
    folder = directory / language / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(mo_file(messages))
    return replace(
        RELEASE,
        settings={
            "LOCALE_PATHS": [directory],
            "LANGUAGES": [("en", "English"), ("de", "German")],
            "LANGUAGE_CODE": "en",
        },
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_translation_changes_the_digest(tmp_path: Path, language: str) -> None:
    """In any of the languages that are warmed, not only in the one in force."""
    one = with_catalog(tmp_path / "one", language, {"A title": "Ein Titel"})
    same = with_catalog(tmp_path / "same", language, {"A title": "Ein Titel"})
    other = with_catalog(tmp_path / "other", language, {"A title": "Der Titel"})

    assert digest(one) == digest(same)
    assert digest(one) != digest(other)
    with deployed(other), translation.override(language):
        assert gettext("A title") == "Der Titel"  # the catalog of this test is one


def test_the_manifest_of_static_files_changes_the_digest(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set(checks.registry.registry.registered_checks)  # an app adds its own for good
    monkeypatch.setattr(checks.registry.registry, "registered_checks", known)

    def with_manifest(name: str) -> Release:
        (tmp_path / name).mkdir()
        manifest = f'{{"version": "1.1", "paths": {{}}, "hash": "{name}"}}'
        (tmp_path / name / "staticfiles.json").write_text(manifest)
        storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        return replace(
            RELEASE,
            settings={
                "INSTALLED_APPS": [*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
                "STATIC_ROOT": tmp_path / name,
                "STORAGES": {**settings.STORAGES, "staticfiles": {"BACKEND": storage}},
            },
        )

    assert digest(with_manifest("one")) != digest(with_manifest("two"))


def test_what_an_overriding_template_overrides_changes_the_digest(
    declare: Declare, settings: Any
) -> None:
    """It extends the template of its own name that the next loader finds."""
    card = declare("card.html", name="library.card")(nothing)

    def overriding(original: str, base: str = "base") -> str:
        settings.TEMPLATES = template_settings(
            [
                locmem({"card.html": "{% extends 'card.html' %}{% block a %}mine{% endblock %}"}),
                locmem({"card.html": original, "base.html": base}),
            ]
        )
        return digest_of(card)

    first = overriding("<p>{% block a %}{% endblock %}")
    assert overriding("<p>{% block a %}{% endblock %}") == first
    assert overriding("<b>{% block a %}{% endblock %}") != first
    assert overriding("{% extends 'base.html' %}") != overriding("{% extends 'base.html' %}", "2")
    assert render_many(card, [()])[0].html == "2"  # type: ignore[union-attr]


def test_a_class_based_fragment_is_known_by_all_its_methods(templates: Templates) -> None:
    templates({"x.html": ""})
    source = """
from fragcache import Fragment, register
@register
class Card(Fragment):
    template_name = "x.html"
    limit = 5
    def get_context(self, album):
        return self.more()
    def more(self):
        return {"limit": self.limit}
    def get_version(self, album):
        return 42
"""

    def digest_with(old: str, new: str) -> str:
        assert old in source
        module("shop.fragments", source.replace(old, new))
        digests.forget()
        try:
            return digest_of(registry.get("shop.card"))
        finally:
            registry.remove("shop.card")

    before = digest_with("5", "5")
    assert digest_with("5", "6") != before
    assert digest_with('{"limit"', '{"max"') != before
    assert digest_with("42", "43") != before


# What does not change it

NO_CHANGES = [
    ("an unrelated template", "unrelated.html", "unrelated", "changed"),
    ("an unrelated function beside the context function", "code", "unrelated", "another"),
    ("an unrelated function beside the tags", "tags", "unrelated", "another"),
    ("a comment", "code", "def helper(name):\n", "def helper(name):\n    # A reason.\n\n"),
    ("what a variable keeps, written in small letters", "code", "seen = {}", "seen = {1: 2}"),
    ("what a class keeps, written in small letters", "code", "cache = {}", "cache = {1: 2}"),
]


@pytest.mark.parametrize(
    ("part", "old", "new"), [case[1:] for case in NO_CHANGES], ids=[case[0] for case in NO_CHANGES]
)
def test_nothing_else_changes_the_digest(part: str, old: str, new: str) -> None:
    assert digest(changed(RELEASE, part, old, new)) == digest(RELEASE)


@pytest.mark.parametrize("language", ["de", None])
def test_the_language_in_force_does_not_change_the_digest(language: str | None) -> None:
    before = digest(RELEASE)

    with translation.override(language):
        assert digest(RELEASE) == before


def test_a_setting_that_does_not_show_in_output_does_not_change_the_digest() -> None:
    settings = {"APPEND_SLASH": False, "FRAGCACHE": {"TIMEOUT": 5}, "DEBUG": True}

    assert digest(replace(RELEASE, settings=settings)) == digest(RELEASE)


def test_all_processes_of_a_release_compute_one_digest() -> None:
    program = (
        "import django; django.setup(); "
        f"from {__name__} import RELEASE, digest; print(digest(RELEASE))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PYTHONHASHSEED": seed,
                "LC_ALL": "C",
                "TZ": zone,
            },
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, zone in (("1", "Asia/Kathmandu"), ("4294967295", "EST"))
    ]

    found = {process.communicate(timeout=60)[0].strip() for process in running}

    assert found == {digest(RELEASE)}


def test_a_digest_is_short_and_fit_for_a_key() -> None:
    found = digest(RELEASE)

    assert len(found) == digests.CHARACTERS == 16
    assert set(found) <= set("0123456789abcdef")


# Of what this process compiled, not of files


@pytest.fixture
def card_on_disk(declare: Declare, settings: Any, tmp_path: Path) -> Callable[[bool], Any]:
    """A function that declares a fragment of a file, with or without the cached loader."""
    (tmp_path / "card.html").write_text("old")

    def use(is_cached: bool) -> Any:
        files = ("django.template.loaders.filesystem.Loader", [tmp_path])
        settings.TEMPLATES = template_settings(cached(files) if is_cached else [files])
        return declare("card.html", name="library.card")(nothing)

    return use


def html(fragment: Fragment) -> str:
    output = render_many(fragment, [()])[0]
    assert output is not None
    return output.html


def test_a_file_that_changes_under_a_running_process_changes_nothing(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    """An old worker renders old HTML, and must not store it under the key of the new release."""
    card = card_on_disk(True)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")
    digests.forget()

    assert (digest_of(card), html(card)) == (before, "old")


def test_a_process_that_starts_after_the_change_has_another_digest(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    card = card_on_disk(True)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")
    engines["django"].engine.template_loaders[0].reset()
    digests.forget()

    assert digest_of(card) != before
    assert html(card) == "new"


def test_without_the_cached_loader_a_changed_file_counts_at_once(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    """During development: each render compiles anew, so each digest is computed anew."""
    card = card_on_disk(False)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")

    assert digest_of(card) != before
    assert html(card) == "new"


def test_a_digest_is_computed_once_per_process(
    declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates({"x.html": ""})
    card = declare("x.html", name="library.card")(nothing)
    before = digest_of(card)
    monkeypatch.setattr(digests, "_parts", None)

    assert digest_of(card) == before


# Fragments that show each other


def test_fragments_that_show_each_other_have_digests_that_know_both(
    declare: Declare, templates: Templates
) -> None:
    a = declare("a.html", name="library.a")(lambda name=None: {})
    b = declare("b.html", name="library.b")(lambda name=None: {})
    shows = "{{% load fragcache %}}{{% if name %}}{{% fragment 'library.{}' %}}{{% endif %}}"
    sources = {"a.html": shows.format("b"), "b.html": shows.format("a")}

    def both(changes: Mapping[str, str]) -> tuple[str, str]:
        templates({**sources, **changes})
        return digest_of(a), digest_of(b)

    before = both({})
    assert before[0] != before[1]
    for name, source in sources.items():
        after = both({name: source + "changed"})
        assert after[0] != before[0]
        assert after[1] != before[1]


def test_a_fragment_that_shows_itself_has_a_digest(declare: Declare, templates: Templates) -> None:
    templates({"a.html": "{% load fragcache %}{% fragment 'library.a' %}"})
    a = declare("a.html", name="library.a")(nothing)

    assert digest_of(a)


def test_a_template_that_includes_itself_has_a_digest(
    declare: Declare, templates: Templates
) -> None:
    templates({"tree.html": "{% for a in b %}{% include './tree.html' %}{% endfor %}"})
    tree = declare("tree.html", name="library.tree")(nothing)

    assert digest_of(tree)
    assert html(tree) == ""


def test_a_fragment_that_nobody_declares_here_is_no_part(
    declare: Declare, templates: Templates
) -> None:
    """A target shows fragments of its source, which have digests of their own."""
    templates({"a.html": "{% load fragcache %}{% fragment 'elsewhere.b' %}"})

    assert digest_of(declare("a.html", name="library.a")(nothing))


# Includes


def test_a_literal_include_that_is_missing_fails_only_where_it_is_rendered(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% if never %}{% include 'none.html' %}{% endif %}a"})
    a = declare("a.html", name="library.a")(nothing)

    assert digest_of(a)
    assert html(a) == "a"


@pytest.mark.parametrize(
    "source", ["{% extends name %}", "{% extends 'base'|add:'.html' %}", "{% include 'b.html' %}"]
)
def test_extending_by_a_variable_says_what_to_do(
    declare: Declare, templates: Templates, source: str
) -> None:
    templates({"a.html": source, "b.html": "{% extends name %}", "base.html": ""})
    a = declare("a.html", name="library.a")(nothing)
    message = (
        r"A fragment's template extends \S+, which only a render knows: name the parent literally, "
        "so that its changes change the fragment's digest."
    )

    with pytest.raises(ImproperlyDeclared, match=message):
        digest_of(a)


def test_a_missing_parent_is_an_error_as_it_is_when_rendering(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% extends 'none.html' %}"})
    a = declare("a.html", name="library.a")(nothing)

    with pytest.raises(TemplateDoesNotExist, match=r"none\.html"):
        digest_of(a)


INCLUDED = {
    "a.html": "{% include 'literal.html' %}{% include chosen %}",
    "literal.html": "{% include also_chosen %}",
    "one.html": "{% include 'of_one.html' %}",
    "of_one.html": "1",
    "two.html": "2",
    "three.html": "3",
}


@pytest.fixture
def choosing(declare: Declare, templates: Templates) -> Any:
    templates(INCLUDED)
    return declare("a.html", name="library.a")(
        lambda chosen, also_chosen="two.html": {"chosen": chosen, "also_chosen": also_chosen}
    )


def includes(fragment: Fragment, *args: Any) -> tuple[str, ...]:
    output = render_many(fragment, [args])[0]
    assert output is not None
    return output.includes


def test_templates_that_a_variable_names_are_in_the_output(choosing: Any) -> None:
    assert includes(choosing, "one.html") == ("one.html", "two.html")
    assert includes(choosing, "three.html") == ("three.html", "two.html")
    assert includes(choosing, "two.html") == ("two.html",)


@pytest.mark.parametrize(
    "source",
    [
        "{% for name in names %}{% include name %}{% endfor %}",
        "{% for name in names %}{% include name only %}{% endfor %}",
        "{% with x=names %}{% for n in x %}{% include n with a=1 %}{% endfor %}{% endwith %}",
        "{% extends 'b.html' %}{% block a %}{% include n.0 %}{% include n.1 %}{% endblock %}",
        "{% load shop_tags %}{% names names %}",
    ],
    ids=["loop", "only", "with", "block", "inclusion tag"],
)
def test_they_are_found_wherever_they_are_included(
    declare: Declare,
    templates: Templates,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    tags = """
from django import template
register = template.Library()
@register.inclusion_tag("names.html")
def names(names):
    return {"names": names}
"""
    monkeypatch.setitem(sys.modules, "shop_tags", module("shop_tags", tags))
    settings.TEMPLATES = template_settings([], libraries={"shop_tags": "shop_tags"})
    templates(
        {
            "a.html": source,
            "b.html": "{% block a %}{% endblock %}",
            "names.html": "{% for name in names %}{% include name %}{% endfor %}",
            "one.html": "1",
            "two.html": "2",
        }
    )
    a = declare("a.html", name="library.a")(lambda names: {"names": names, "n": names})

    assert includes(a, ["two.html", "one.html"]) == ("one.html", "two.html")


def test_of_several_names_the_one_that_was_found_is_in_the_output(choosing: Any) -> None:
    assert includes(choosing, ["none.html", "three.html", "one.html"]) == (
        "three.html",
        "two.html",
    )


def test_literal_includes_are_in_the_digest_and_not_in_the_output(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% include 'one.html' %}", "one.html": "1"})

    assert includes(declare("a.html", name="library.a")(nothing)) == ()


@pytest.mark.parametrize("name", ["one.html", "of_one.html"])
def test_a_change_of_a_chosen_template_changes_their_digest_alone(
    choosing: Any, templates: Templates, name: str
) -> None:
    of_fragment, of_includes = digest_of(choosing), includes_digest(("one.html", "two.html"))

    templates({name: "changed"})

    assert digest_of(choosing) == of_fragment
    assert includes_digest(("one.html", "two.html")) != of_includes


def test_an_entry_is_current_while_the_templates_it_chose_are_those_of_then(
    choosing: Any, templates: Templates, settings: Any
) -> None:
    names = includes(choosing, "one.html")
    recorded = "\n".join((includes_digest(names), *names)).encode()
    entry = Entry(
        Kind.HTML, b"12", as_of=1, built_at=1, tagged=pack_fields({Field.INCLUDES: recorded})
    )
    assert includes_are_current(entry)

    templates({"three.html": "changed"})
    assert includes_are_current(entry)
    templates({"one.html": "changed"})
    assert not includes_are_current(entry)
    settings.TEMPLATES = template_settings(cached(locmem({"a.html": INCLUDED["a.html"]})))
    assert not includes_are_current(entry)  # the new release has no such template


# Partials

with_partials = pytest.mark.skipif(
    django.VERSION < (6, 0), reason="Template partials came with Django 6.0."
)
PARTIALS = """{% partialdef card %}<b>{% partial name %}</b>{% endpartialdef %}
{% partialdef name inline %}{{ name }}{% include 'part.html' %}{% endpartialdef %}
<p>elsewhere</p>"""


@with_partials
@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("page.html", "<b>", "<em>"),
        ("page.html", "{{ name }}", "{{ name|upper }}"),
        ("part.html", "part", "changed"),
    ],
)
def test_a_partial_is_a_template_with_a_digest(
    declare: Declare, templates: Templates, part: str, old: str, new: str
) -> None:
    sources = {"page.html": PARTIALS, "part.html": "part"}
    templates(sources)
    card = declare("page.html#card", name="library.card")(lambda: {"name": "Nina"})
    before = digest_of(card)
    assert html(card) == "<b>Ninapart</b>"

    templates({part: sources[part].replace(old, new)})

    assert digest_of(card) != before


@with_partials
def test_an_included_partial_is_part_of_the_digest(declare: Declare, templates: Templates) -> None:
    templates({"a.html": "{% include 'page.html#card' %}", "page.html": PARTIALS, "part.html": ""})
    card = declare("a.html", name="library.card")(lambda: {"name": "Nina"})
    before = digest_of(card)

    templates({"page.html": PARTIALS.replace("<b>", "<em>")})

    assert digest_of(card) != before
    assert html(card) == "<em>Nina</b>"


# Jinja2


def test_a_jinja2_template_is_known_with_what_it_extends_includes_and_imports(
    declare: Declare, settings: Any, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2")
    sources = {
        "card.html": "{% extends 'base.html' %}{% import 'm.html' as m %}{% block a %}"
        "{% include ['none.html', 'part.html'] %}{% include 'gone.html' ignore missing %}"
        "{% endblock %}",
        "base.html": "<p>{% block a %}{% endblock %}",
        "part.html": "part",
        "m.html": "{% macro x() %}{% endmacro %}",
        "unrelated.html": "",
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    card = declare("card.html", name="library.card")(nothing)

    def digest_with(name: str, source: str) -> str:
        (tmp_path / name).write_text(source)
        settings.TEMPLATES = [
            {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [tmp_path]}
        ]
        return digest_of(card)

    before = digest_with("unrelated.html", "")
    assert digest_with("unrelated.html", "changed") == before
    for name in ("card.html", "base.html", "part.html", "m.html"):
        assert digest_with(name, sources[name] + "changed") != before
        assert digest_with(name, sources[name]) == before
    assert digest_with("gone.html", "here now") != before


# Code


def test_code_of_django_and_of_this_package_is_known_by_its_version() -> None:
    from django.template.defaultfilters import upper

    assert code_parts(upper) == []
    assert code_parts(Fragment) == []


def test_code_that_names_itself_ends() -> None:
    source = "def even(n):\n  return odd(n - 1)\ndef odd(n):\n  return even(n - 1)"

    assert len(code_parts(module("loop", source).even)) == 4


def test_a_set_in_code_is_written_in_one_order() -> None:
    parts = code_parts(module("sets", "def f(x):\n  return x in {'c', 'a', 'b'}").f)

    assert "{'a', 'b', 'c'}" in parts[0]
