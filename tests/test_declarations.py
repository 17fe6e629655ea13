"""Declarations: what a fragment says of itself, and what is said to who errs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from fragcache import (
    DuplicateFragment,
    Fragment,
    ImproperlyDeclared,
    UnknownFragment,
    fragment,
    register,
    registry,
)
from fragcache.declarations import OPTIONS
from tests.library.models import Album, Artist

Declare = Callable[..., Any]
FRAGMENTS = "tests.library.fragments"


def declared_in(module: str, name: str = "album_card") -> Callable[..., dict[str, Any]]:
    def function(album: Any = None) -> dict[str, Any]:
        """Show an album."""
        return {"album": album}

    function.__name__ = name
    function.__module__ = module
    return function


# Names


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param("tests.library.fragments", "library.album_card", id="of an app"),
        pytest.param("tests.library", "library.album_card", id="of the app's package"),
        pytest.param("django.contrib.auth.fragments", "auth.album_card", id="of a nested app"),
        pytest.param("elsewhere.views", "elsewhere.album_card", id="outside of all apps"),
    ],
)
def test_a_function_is_named_after_its_app(declare: Declare, module: str, name: str) -> None:
    declared = declare("x.html")(declared_in(module))

    assert declared.name == name
    assert registry.get(name) is declared


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("AlbumCard", "library.album_card"),
        ("HTMLCard", "library.html_card"),
        ("CardHTML", "library.card_html"),
        ("Top10List", "library.top10_list"),
        ("Card", "library.card"),
    ],
)
def test_a_class_is_named_in_snake_case(class_name: str, name: str) -> None:
    kind = type(class_name, (Fragment,), {"template_name": "x.html", "__module__": FRAGMENTS})

    assert kind().name == name


def test_a_name_can_be_given(declare: Declare) -> None:
    assert declare("x.html", name="other.name-1")(declared_in(FRAGMENTS)).name == "other.name-1"


@pytest.mark.parametrize("name", ["a b", "a:b", "a@b", "a#0", "a~", "a.", ".a", "a..b", "č", "a\n"])
def test_a_name_that_could_not_stand_in_a_key_is_refused(declare: Declare, name: str) -> None:
    message = rf"{re.escape(repr(name))} is not a name for a fragment: use letters, digits, _ and -"

    with pytest.raises(ImproperlyDeclared, match=message):
        declare("x.html", name=name)(declared_in(FRAGMENTS))


# The registry


def test_two_fragments_of_one_name_are_refused(declare: Declare) -> None:
    declare("x.html", name="library.card")(declared_in("one.fragments"))
    message = (
        "Two fragments are called 'library.card': in one.fragments and in two.fragments. Give one "
        "of them name='...'."
    )

    with pytest.raises(DuplicateFragment, match=re.escape(message)):
        declare("x.html", name="library.card")(declared_in("two.fragments"))

    assert registry.get("library.card").__module__ == "one.fragments"


def test_a_class_and_a_function_of_one_name_are_refused(declare: Declare) -> None:
    declare("x.html")(declared_in(FRAGMENTS))
    kind = type("AlbumCard", (Fragment,), {"template_name": "x.html", "__module__": FRAGMENTS})

    with pytest.raises(DuplicateFragment, match=r"Two fragments are called 'library.album_card'"):
        register(kind)


def test_an_unknown_name_says_the_nearest(declare: Declare) -> None:
    declare("x.html", name="library.album_card")(declared_in(FRAGMENTS))
    message = (
        "No fragment is called 'library.albumcard'. Did you mean 'library.album_card'? Fragments "
        "are declared in the fragments.py of installed apps, which a restart of the server finds;"
    )

    with pytest.raises(UnknownFragment, match=re.escape(message)):
        registry.get("library.albumcard")


def test_a_fragment_is_found_by_name_itself_and_class(declare: Declare) -> None:
    declared = declare("x.html", name="library.card")(declared_in(FRAGMENTS))

    @register
    class Card(Fragment):
        name = "library.other_card"
        template_name = "x.html"

    assert registry.get("library.card") is registry.get(declared) is declared
    assert registry.get(Card) is registry.get("library.other_card")
    assert isinstance(registry.get(Card), Card)


def test_a_class_that_was_not_registered_is_unknown() -> None:
    class Card(Fragment):
        template_name = "x.html"

    with pytest.raises(UnknownFragment, match=r"No fragment is called <class '.*Card'>"):
        registry.get(Card)


def test_all_fragments_are_in_the_order_of_their_names(declare: Declare) -> None:
    for name in ("library.b", "library.a", "a.c"):
        declare("x.html", name=name)(declared_in(FRAGMENTS))

    names = [declared.name for declared in registry.all_fragments()]

    assert names == sorted(names)
    assert {"a.c", "library.a", "library.b"} <= set(names)


def test_a_fragment_that_was_removed_is_unknown(declare: Declare) -> None:
    declare("x.html", name="library.card")(declared_in(FRAGMENTS))

    registry.remove("library.card")
    registry.remove("library.card")

    assert registry.find("library.card") is None


# Options


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("tiemout", "Did you mean 'timeout'?"),
        ("vary", "Did you mean 'vary_on'?"),
        ("prefetch", "Did you mean 'prefetch_related'?"),
        ("is_local", ""),
        ("qqq", ""),
    ],
)
def test_an_unknown_option_says_the_nearest_and_all(
    declare: Declare, option: str, hint: str
) -> None:
    message = f"'{option}' is not an option of a fragment.{f' {hint}' if hint else ''} Options are "

    with pytest.raises(ImproperlyDeclared, match=re.escape(message) + "name, template_name, items"):
        declare("x.html", **{option: 1})(declared_in(FRAGMENTS))


def test_the_options_are_those_of_the_design() -> None:
    assert set(OPTIONS) == {
        *("name", "template_name", "items", "model", "version", "choices", "prefetch_related"),
        *("vary_on", "timeout", "max_age", "stale_while_revalidate", "stale_if_error"),
        *("revision", "stamped", "using", "publish", "expose"),
    }


@pytest.mark.parametrize("option", ["prefetch_related", "vary_on"])
def test_a_text_where_a_list_is_wanted_is_refused(declare: Declare, option: str) -> None:
    message = f"library.album_card: {option}='site' is one string: write {option}=['site']."

    with pytest.raises(ImproperlyDeclared, match=re.escape(message)):
        declare("x.html", **{option: "site"})(declared_in(FRAGMENTS))


def test_a_fragment_without_template_is_refused(declare: Declare) -> None:
    message = "library.album_card: it has no template: name one, or say publish='context'."

    with pytest.raises(ImproperlyDeclared, match=message):
        declare()(declared_in(FRAGMENTS))


def test_a_fragment_that_only_publishes_its_context_needs_no_template(declare: Declare) -> None:
    assert declare(publish="context")(declared_in(FRAGMENTS)).template_name is None


def test_a_function_that_does_not_say_what_it_takes_is_refused(declare: Declare) -> None:
    message = "library.x: its function <class 'dict'> does not say what parameters it takes: write"

    with pytest.raises(ImproperlyDeclared, match=message):
        _ = declare("x.html", name="library.x")(dict).parameters


def test_an_unknown_form_of_publishing_is_refused(declare: Declare) -> None:
    message = "library.album_card: publish='json' is none of html, context, both."

    with pytest.raises(ImproperlyDeclared, match=message):
        declare("x.html", publish="json")(declared_in(FRAGMENTS))


def test_the_decorator_without_parentheses_says_how_to_write_it() -> None:
    message = "Write @fragment('template.html'), with parentheses."

    with pytest.raises(ImproperlyDeclared, match=re.escape(message)):
        fragment(declared_in(FRAGMENTS))  # type: ignore[arg-type]


# What a function and a class declare


def test_calling_a_function_fragment_returns_its_context(declare: Declare) -> None:
    @declare("x.html")
    def card(album: Any, variant: str = "full") -> dict[str, Any]:
        """Show an album."""
        return {"album": album, "variant": variant}

    assert card("Nina", variant="row") == {"album": "Nina", "variant": "row"}
    assert card.get_context("Nina") == {"album": "Nina", "variant": "full"}
    assert card.get_contexts([("Nina", "row"), ("Ella", "full")]) == [
        {"album": "Nina", "variant": "row"},
        {"album": "Ella", "variant": "full"},
    ]
    assert (card.__name__, card.__doc__) == ("card", "Show an album.")
    assert repr(card) == "<Fragment tests.card>"


def test_a_class_has_the_same_options_as_attributes() -> None:
    @register
    class AlbumCard(Fragment):
        template_name = "x.html"
        version = "updated_at"
        timeout = 60
        choices = {"variant": ["full", "row"]}

        def items(self) -> Any:
            return Album.objects.filter(title="x")

        def get_context(self, album: Album, variant: str = "full") -> dict[str, Any]:
            return {"album": album, "variant": variant}

    card = registry.get(AlbumCard)

    assert card.name == "tests.album_card"
    assert card.item_model is Album
    assert card.version_paths == ("updated_at",)
    assert card.effective_timeout == 60
    assert card.parameters.names == ("album", "variant")
    assert card.get_contexts([("a", "row")]) == [{"album": "a", "variant": "row"}]
    assert card.choice_combinations() == [{"variant": "full"}, {"variant": "row"}]


def test_a_class_can_build_contexts_in_bulk_alone() -> None:
    class Card(Fragment):
        template_name = "x.html"
        model = Album

        def get_contexts(self, items: Any) -> list[dict[str, Any]]:
            return [{"pk": album.pk} for (album,) in items]

    card = Card()

    assert card.get_context(Album(pk=1)) == {"pk": 1}
    assert card.parameters.instance((Album(pk=1),)).encoded == "i1:1"


def test_a_class_without_a_context_says_what_it_needs() -> None:
    class Card(Fragment):
        template_name = "x.html"

    with pytest.raises(ImproperlyDeclared, match=r"tests.card needs get_context\(\) or get_contex"):
        Card().get_contexts([(1,)])


def test_options_given_to_a_class_win_over_its_attributes() -> None:
    class Card(Fragment):
        template_name = "x.html"
        timeout = 60

    assert Card(timeout=5).effective_timeout == 5
    assert Card(name="library.other").name == "library.other"
    assert Card.timeout == 60


# Durations


@pytest.mark.parametrize(
    ("options", "timeout"),
    [
        pytest.param({}, 300, id="of the settings"),
        pytest.param({"timeout": 60}, 60, id="its own"),
        pytest.param({"timeout": 0}, 0, id="zero"),
        pytest.param({"timeout": None}, None, id="for ever"),
    ],
)
def test_the_time_out_is_its_own_or_that_of_the_settings(
    declare: Declare, settings: Any, options: dict[str, Any], timeout: float | None
) -> None:
    settings.FRAGCACHE = {"TIMEOUT": 300}

    assert declare("x.html", **options)(declared_in(FRAGMENTS)).effective_timeout == timeout


def test_the_settings_are_read_when_they_are_needed(declare: Declare, settings: Any) -> None:
    declared = declare("x.html")(declared_in(FRAGMENTS))
    settings.FRAGCACHE = {"TIMEOUT": 7}

    assert declared.effective_timeout == 7


@pytest.mark.parametrize(
    ("options", "age"),
    [
        pytest.param({}, 700, id="seven time-outs"),
        pytest.param({"max_age": 50}, 50, id="its own"),
        pytest.param({"max_age": None}, None, id="for ever"),
        pytest.param({"timeout": None}, None, id="of no time-out"),
    ],
)
def test_an_entry_with_a_version_grows_as_old_as_max_age(
    declare: Declare, options: dict[str, Any], age: float | None
) -> None:
    options = {"timeout": 100, "version": "updated_at", **options}

    assert declare("x.html", **options)(declared_in(FRAGMENTS)).effective_max_age == age


def test_an_entry_without_a_version_grows_no_older_than_its_time_out(declare: Declare) -> None:
    declared = declare("x.html", timeout=100, max_age=5000)(declared_in(FRAGMENTS))

    assert declared.effective_max_age == 100


@pytest.mark.parametrize(
    ("options", "life"),
    [
        ({}, 100),
        ({"stale_while_revalidate": 20}, 120),
        ({"stale_if_error": 50}, 150),
        ({"stale_while_revalidate": 20, "stale_if_error": 50}, 150),
        ({"timeout": None, "stale_if_error": 50}, None),
    ],
    ids=repr,
)
def test_an_entry_is_kept_as_long_as_it_may_be_served(
    declare: Declare, options: dict[str, Any], life: float | None
) -> None:
    options = {"timeout": 100, **options}

    assert declare("x.html", **options)(declared_in(FRAGMENTS)).life == life


# Versions, items, choices


@pytest.mark.parametrize(
    ("version", "paths"),
    [
        pytest.param("updated_at", ("updated_at",), id="a path"),
        pytest.param(
            ["updated_at", "artist__updated_at"], ("updated_at", "artist__updated_at"), id="paths"
        ),
        pytest.param(lambda album: 1, None, id="a function"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_version_is_one_path_or_several_or_a_function(
    declare: Declare, version: Any, paths: tuple[str, ...] | None
) -> None:
    declared = declare("x.html", version=version)(declared_in(FRAGMENTS))

    assert declared.version_paths == paths
    assert declared.is_versioned is (version is not None)


def test_a_fragment_without_a_version_can_be_invalidated_one_by_one(declare: Declare) -> None:
    def stamped(**options: Any) -> bool:
        return bool(declare("x.html", name="library.card", **options)(lambda album: {}).is_stamped)

    assert stamped()
    registry.remove("library.card")
    assert not stamped(version="updated_at")
    registry.remove("library.card")
    assert stamped(version="updated_at", stamped=True)


def test_a_method_that_is_a_version_wins_over_paths() -> None:
    class Card(Fragment):
        template_name = "x.html"
        version = "updated_at"

        def get_version(self, album: Any) -> Any:
            return 42

    assert Card().version_paths is None
    assert Card().is_versioned
    assert Card().get_version(None) == 42


@pytest.mark.parametrize(
    ("options", "model"),
    [
        pytest.param({"items": Album.objects.all}, Album, id="a function"),
        pytest.param({"items": Album.objects.all()}, Album, id="a queryset"),
        pytest.param({"items": Album.objects}, Album, id="a manager"),
        pytest.param({"items": Album.objects.all, "model": Artist}, Artist, id="both"),
        pytest.param({"items": lambda: Album.objects.values("pk")}, None, id="values"),
        pytest.param({"items": lambda: ["a", "b"]}, None, id="a list"),
        pytest.param({"model": Artist}, Artist, id="a model alone"),
        pytest.param({"model": "library.Artist"}, Artist, id="its label"),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_model_is_that_of_the_items(
    declare: Declare, options: dict[str, Any], model: type | None
) -> None:
    assert declare("x.html", **options)(declared_in(FRAGMENTS)).item_model is model


@pytest.mark.django_db
def test_items_are_read_anew_each_time(declare: Declare) -> None:
    """A queryset keeps what it read; the one of a declaration must not, for weeks."""
    declared = declare("x.html", items=Artist.objects.all())(declared_in(FRAGMENTS))
    assert list(declared.get_items()) == []
    artist = Artist.objects.create(name="Nina")

    assert list(declared.get_items()) == [artist]


@pytest.mark.parametrize(
    ("function", "options", "is_warmable"),
    [
        pytest.param(lambda album: {}, {"items": Album.objects.all}, True, id="items"),
        pytest.param(lambda album: {}, {}, False, id="a parameter without choices"),
        pytest.param(lambda: {"a": 1}, {}, True, id="no parameters"),
        pytest.param(lambda by="title": {}, {}, True, id="a default"),
        pytest.param(lambda by: {}, {"choices": {"by": ["a", "b"]}}, True, id="choices"),
        pytest.param(lambda by, album: {}, {"choices": {"by": ["a"]}}, False, id="choices for one"),
    ],
)
def test_a_fragment_is_warmable_where_all_its_instances_can_be_listed(
    declare: Declare, function: Any, options: dict[str, Any], is_warmable: bool
) -> None:
    declared = declare("x.html", name="library.card", **options)(function)

    assert declared.is_warmable is is_warmable


def test_all_combinations_of_choices_are_listed(declare: Declare) -> None:
    declared = declare("x.html", choices={"a": [1, 2], "b": ["x", "y"]})(declared_in(FRAGMENTS))

    assert declared.choice_combinations() == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
