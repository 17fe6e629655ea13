"""Arguments: however they are given, one instance of a fragment has one key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, override

from fragcache import Fragment, ImproperlyDeclared, InvalidArguments, NoIdentity
from fragcache.arguments import RESERVED, plain
from fragcache.keys import encode_arguments
from fragcache.packing import packed_key
from tests.library.models import Album, Artist, Note, Shelf, Track

Declare = Callable[..., Any]

NOBODY = AnonymousUser()
TITLE = gettext_lazy("title")
ID = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class Variant(models.TextChoices):
    FULL = "full"
    ROW = "row"


class Currency:
    def __init__(self, code: str) -> None:
        self.code = code

    def fragment_identity(self) -> str:
        return self.code


@pytest.fixture
def card(declare: Declare) -> Fragment:
    """A fragment of an album, with a variant."""

    @declare(
        "x.html",
        name="library.card",
        items=Album.objects.all,
        choices={"variant": Variant.values},
    )
    def card(album: Album, variant: str = "full") -> dict[str, Any]:
        return {"album": album}

    return card


@pytest.fixture
def note(declare: Declare) -> Fragment:
    @declare("x.html", name="library.note", model=Note)
    def note(note: Note) -> dict[str, Any]:
        return {}

    return note


@pytest.fixture
def shown(declare: Declare) -> Fragment:
    """A fragment without model: any object can be its argument."""

    @declare("x.html", name="library.shown")
    def shown(content: object) -> dict[str, Any]:
        return {}

    return shown


def key(fragment: Fragment, *args: Any, **kwargs: Any) -> str:
    return fragment.parameters.instance(args, kwargs).encoded


# One instance


@pytest.mark.parametrize(
    "album",
    [
        pytest.param(12, id="number"),
        pytest.param("12", id="text"),
        pytest.param(mark_safe("12"), id="literal of a template"),
        pytest.param(Album(pk=12), id="instance"),
        pytest.param(Album(pk=12, title="renamed"), id="another state"),
        pytest.param(Album(pk="12"), id="instance with a pk as text"),
        pytest.param(SimpleLazyObject(lambda: Album(pk=12)), id="lazy instance"),
    ],
)
def test_an_instance_and_its_primary_key_are_one(card: Fragment, album: Any) -> None:
    assert key(card, album) == "i2:12s4:full"
    assert key(card, album=album) == "i2:12s4:full"


@pytest.mark.parametrize("value", [ID, str(ID), ID.hex, str(ID).upper(), Note(pk=ID)], ids=repr)
def test_a_uuid_and_its_forms_are_one(note: Fragment, value: Any) -> None:
    assert key(note, value) == f"u32:{ID.hex}"


@pytest.fixture
def shelf(declare: Declare) -> Fragment:
    @declare("x.html", name="library.shelf", model=Shelf)
    def shelf(shelf: Shelf) -> dict[str, Any]:
        return {}

    return shelf


@pytest.mark.parametrize(
    "value",
    [(ID, 3), (str(ID), "3"), [ID, 3], f'["{ID}", "3"]', packed_key((ID, 3)), Shelf(pk=(ID, 3))],
    ids=repr,
)
def test_a_key_of_two_columns_and_its_forms_are_one(shelf: Fragment, value: Any) -> None:
    assert key(shelf, value) == key(shelf, (ID, 3))
    assert shelf.parameters.primary_key(value) == (ID, 3)


@pytest.mark.parametrize(
    "value", [(ID,), (ID, None), Shelf(number=3, room=None), "[3", 3, ("x", 3)]
)
def test_what_is_no_key_of_two_columns_is_refused(shelf: Fragment, value: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"library\.shelf: .* is not a primary key of its"):
        key(shelf, value)


def test_other_keys_are_other_instances(card: Fragment) -> None:
    assert len({key(card, pk) for pk in range(1000)}) == 1000


def test_a_child_is_an_instance_of_its_parents_model(card: Fragment) -> None:
    class LiveAlbum(Album):
        class Meta:
            app_label = "library"
            proxy = True

    try:
        assert key(card, LiveAlbum(pk=12)) == key(card, 12)
    finally:
        del Album._meta.apps.all_models["library"]["livealbum"]
        Album._meta.apps.clear_cache()


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        pytest.param((12, "row"), {}, id="positional"),
        pytest.param((12,), {"variant": "row"}, id="mixed"),
        pytest.param((), {"album": 12, "variant": "row"}, id="keywords"),
        pytest.param((), {"variant": "row", "album": 12}, id="keywords in another order"),
        pytest.param((12, Variant.ROW), {}, id="member of TextChoices"),
        pytest.param((12, mark_safe("row")), {}, id="literal of a template"),
        pytest.param((12, gettext_lazy("row")), {}, id="lazily translated"),
    ],
)
def test_positional_and_keyword_forms_are_one(
    card: Fragment, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert key(card, *args, **kwargs) == "i2:12s3:row"


def test_a_default_and_its_value_are_one(card: Fragment) -> None:
    assert key(card, 12) == key(card, 12, "full") == key(card, 12, variant="full")
    assert key(card, 12) != key(card, 12, "row")


def test_what_is_rendered_is_what_was_given_in_the_order_of_the_signature(card: Fragment) -> None:
    album = Album(pk=12)

    instance = card.parameters.instance((), {"variant": "row", "album": album})

    assert instance.arguments == (album, "row")
    assert instance.arguments[0] is album


def ways(values: tuple[Any, ...], names: tuple[str, ...]) -> list[tuple[Any, dict[str, Any]]]:
    return [
        (values[:split], dict(zip(names[split:], values[split:], strict=True)))
        for split in range(len(values) + 1)
    ]


@pytest.mark.parametrize("given", [1, 2, 3])
def test_every_way_to_give_arguments_binds_them_alike(declare: Declare, given: int) -> None:
    @declare("x.html", name="library.three")
    def three(a: Any, b: Any = "b", c: Any = None) -> dict[str, Any]:
        return {}

    values = ("x", "y", "z")
    expected = (*values[:given], *("b", None)[given - 1 :])

    for args, kwargs in ways(values[:given], ("a", "b", "c")[:given]):
        assert three.parameters.bind(args, kwargs) == expected


@pytest.mark.parametrize("choices", [{}, {"variant": "row"}, {"variant": mark_safe("row")}])
def test_instances_of_many_keys_are_those_of_each(card: Fragment, choices: dict[str, Any]) -> None:
    pks = [1, 12, 2**63]

    instances = card.parameters.instances(pks, choices)

    assert instances == [card.parameters.instance((pk,), choices) for pk in pks]
    assert card.parameters.instances([], choices) == []


@pytest.mark.parametrize("pks", [[ID], [ID.hex, str(ID)]], ids=["as rows have them", "texts"])
def test_instances_of_keys_in_other_forms_are_those_of_each(note: Fragment, pks: list[Any]) -> None:
    assert note.parameters.instances(pks, {}) == [note.parameters.instance((pk,)) for pk in pks]


def test_choices_that_are_none_are_refused_of_many_keys(card: Fragment) -> None:
    with pytest.raises(InvalidArguments, match="variant='wide' is not among its choices"):
        card.parameters.instances([1], {"variant": "wide"})


def test_a_fragment_without_parameters_has_one_instance(declare: Declare) -> None:
    @declare("x.html", name="library.menu", model=Album)
    def menu() -> dict[str, Any]:
        return {}

    assert menu.parameters.instance(()) == ((), "-")


# Different instances


def test_rows_of_two_models_with_one_key_are_two(shown: Fragment) -> None:
    """Text 5 and Image 5 of a polymorphic argument, and neither is the number."""
    keys = {key(shown, value) for value in (Album(pk=5), Track(pk=5), Artist(pk=5), 5, "5")}

    assert len(keys) == 5
    assert key(shown, Album(pk=5)) == "o21:s13:library.albumi1:5"


def test_rows_in_lists_carry_their_model(shown: Fragment) -> None:
    albums, tracks = [Album(pk=1), Album(pk=2)], [Track(pk=1), Track(pk=2)]

    assert key(shown, albums) != key(shown, tracks)
    assert key(shown, albums) != key(shown, [1, 2])
    assert key(shown, [(Album(pk=1),)]) != key(shown, [(Track(pk=1),)])


def test_the_anonymous_user_is_nobody(shown: Fragment) -> None:
    assert key(shown, AnonymousUser()) == key(shown, None) == "n"
    assert key(shown, SimpleLazyObject(AnonymousUser)) == "n"
    assert key(shown, [AnonymousUser()]) == key(shown, [None])


def test_a_user_is_a_row(shown: Fragment) -> None:
    user = User(pk=3)

    assert key(shown, user) == key(shown, SimpleLazyObject(lambda: user))
    assert key(shown, user) not in {key(shown, AnonymousUser()), key(shown, 3)}


def test_a_type_of_ones_own_says_who_it_is(shown: Fragment) -> None:
    assert key(shown, Currency("EUR")) == key(shown, Currency("EUR"))
    assert key(shown, Currency("EUR")) not in {key(shown, Currency("USD")), key(shown, "EUR")}


def test_a_lazily_translated_text_is_the_text_in_force(shown: Fragment) -> None:
    title = gettext_lazy("Monday")

    with override("de"):
        assert key(shown, title) == key(shown, "Montag")
    with override("en"):
        assert key(shown, title) == key(shown, "Monday")
        assert key(shown, [title]) == key(shown, ["Monday"])


def test_canonical_defaults_are_what_stands_in_keys(declare: Declare) -> None:
    @declare("x.html", name="library.chart")
    def chart(by: Any = TITLE, user: Any = NOBODY) -> dict[str, Any]:
        return {}

    assert encode_arguments(chart.parameters.canonical_defaults()) == key(chart) == "s5:titlen"


# Mistakes


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        pytest.param((), {}, "library.card(album, variant) misses 'album'.", id="missing"),
        pytest.param(
            (), {"variant": "row"}, "library.card(album, variant) misses 'album'.", id="required"
        ),
        pytest.param(
            (12, "row", 5),
            {},
            "library.card(album, variant) takes 2 arguments, not 3: (12, 'row', 5).",
            id="too many",
        ),
        pytest.param(
            (12,),
            {"varient": "row"},
            "library.card(album, variant) has no parameter 'varient'. Did you mean 'variant'?",
            id="misspelled",
        ),
        pytest.param(
            (12,), {"zzz": 1}, "library.card(album, variant) has no parameter 'zzz'.", id="unknown"
        ),
        pytest.param(
            (12, "row"),
            {"variant": "full"},
            "library.card(album, variant) got 'variant' twice.",
            id="twice",
        ),
        pytest.param(
            (12,), {"album": 12}, "library.card(album, variant) got 'album' twice.", id="the first"
        ),
        pytest.param(
            (12, "wide"),
            {},
            "library.card: variant='wide' is not among its choices 'full', 'row'.",
            id="not a choice",
        ),
        pytest.param(
            (12, None),
            {},
            "library.card: variant=None is not among its choices 'full', 'row'.",
            id="nothing as a choice",
        ),
        pytest.param(
            (Album(title="New"),),
            {},
            "library.card: <Album: New> is not saved yet, so it has no key: save it first.",
            id="unsaved",
        ),
        pytest.param(
            (Track(pk=12, title="One"),),
            {},
            "library.card takes a library.Album, not <Track: One> (library.Track).",
            id="wrong model",
        ),
        pytest.param(
            ("abc",),
            {},
            "library.card: 'abc' is not a primary key of its model "
            "(“abc” value must be an integer.).",
            id="not a key",
        ),
        pytest.param(
            (None,), {}, "library.card: None is not a primary key of its model.", id="None as a key"
        ),
        pytest.param(
            (12.7,),
            {},
            "library.card: 12.7 is not a primary key of its model (a float is no key).",
            id="float as a key",
        ),
        pytest.param(
            (True,),
            {},
            "library.card: True is not a primary key of its model (a bool is no key).",
            id="bool as a key",
        ),
        pytest.param(
            (AnonymousUser(),),
            {},
            "library.card: <django.contrib.auth.models.AnonymousUser object at 0x> is not a "
            "primary key of its model (“AnonymousUser” value must be an integer.).",
            id="nobody",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    card: Fragment, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArguments) as raised:
        key(card, *args, **kwargs)

    assert re.sub("0x[0-9a-f]+", "0x", str(raised.value)) == message


@pytest.mark.parametrize("value", ["", "6ba7b810", [], {}, 1.5, b"6ba7b810"], ids=repr)
def test_what_is_no_uuid_is_refused(note: Fragment, value: Any) -> None:
    message = rf"library\.note: {re.escape(repr(value))} is not a primary key of its model"
    with pytest.raises(InvalidArguments, match=message):
        key(note, value)


def test_an_unsaved_object_is_refused_as_any_argument(shown: Fragment) -> None:
    message = "<Artist: New> is not saved yet, so it has no key: save it first."
    for value in (Artist(name="New"), [Artist(name="New")]):
        with pytest.raises(InvalidArguments, match=message):
            key(shown, value)


@pytest.mark.parametrize("make", [object, lambda: {1: Album(pk=1)}], ids=["object", "dict"])
def test_a_type_without_canonical_form_is_refused(
    shown: Fragment, make: Callable[[], object]
) -> None:
    with pytest.raises(NoIdentity, match="cannot be an argument of a fragment"):
        key(shown, make())


# Signatures


@pytest.mark.parametrize(
    ("function", "parameter", "kind"),
    [
        pytest.param(lambda *courses: {}, "*courses", "variadic positional", id="*args"),
        pytest.param(lambda **options: {}, "**options", "variadic keyword", id="**kwargs"),
        pytest.param(lambda *, size: {}, "size", "keyword-only", id="keyword-only"),
        pytest.param(lambda size, /: {}, "size", "positional-only", id="positional-only"),
    ],
)
def test_a_signature_of_other_than_plain_parameters_is_refused(
    declare: Declare, function: Any, parameter: str, kind: str
) -> None:
    declared = declare("x.html", name="library.odd")(function)
    message = (
        f"library.odd: its function takes {parameter} ({kind}); arguments are part of a key, so "
        "it must take plain, named parameters."
    )

    with pytest.raises(ImproperlyDeclared, match=re.escape(message)):
        _ = declared.parameters


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_parameter_that_get_fragment_takes_itself_is_refused(declare: Declare, name: str) -> None:
    function = eval(f"lambda {name}: {{}}")
    declared = declare("x.html", name="library.odd")(function)
    message = f"library.odd: a parameter cannot be called '{name}', as get_fragment() takes"

    with pytest.raises(ImproperlyDeclared, match=re.escape(message)):
        _ = declared.parameters


@pytest.mark.parametrize(
    ("choice", "hint"), [("varient", r" Did you mean 'variant'\?$"), ("zzz", "$")]
)
def test_choices_for_what_is_no_parameter_are_refused(
    declare: Declare, choice: str, hint: str
) -> None:
    declared = declare("x.html", name="library.odd", choices={choice: ["a"]})(lambda variant: {})
    message = rf"library\.odd: choices names '{choice}', which is not a parameter\.{hint}"

    with pytest.raises(ImproperlyDeclared, match=message):
        _ = declared.parameters


def test_a_model_that_does_not_exist_is_refused(declare: Declare) -> None:
    declared = declare("x.html", name="library.odd", model="library.Albun")(lambda album: {})
    message = "library.odd: model='library.Albun': App 'library' doesn't have a 'Albun' model"

    with pytest.raises(ImproperlyDeclared, match=message):
        _ = declared.parameters


def test_a_model_can_be_named(declare: Declare) -> None:
    declared = declare("x.html", name="library.card", model="library.Album")(lambda album: {})

    assert key(declared, Album(pk=12)) == key(declared, "12") == "i2:12"


@pytest.mark.parametrize("value", [5, "five", mark_safe("<b>"), [1, "one"], None])
def test_what_is_loaded_lazily_is_what_is_inside(value: Any) -> None:
    assert encode_arguments([plain(SimpleLazyObject(lambda: value))]) == encode_arguments([value])
