"""``manage.py check``: what templates with ``{% cache %}``, holes and fragments get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.template import engines

from fragcache.checks import check_templates

LOAD = "{% load fragcache %}"


def of_artist(artist: Any) -> dict[str, Any]:
    return {}


def of_user(user: Any) -> dict[str, Any]:
    return {}


def of_nothing() -> dict[str, Any]:
    return {}


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> Any:
    """Write templates of a site that has no others."""
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [tmp_path],
            "OPTIONS": {"libraries": {"cache": "django.templatetags.cache"}},
        }
    ]

    def write(**sources: str) -> list[tuple[str, str]]:
        for name, source in sources.items():
            tmp_path.joinpath(f"{name}.html").write_text(source)
        engines._engines.clear()  # type: ignore[attr-defined]
        return [(str(message.id), message.msg) for message in check_templates()]

    return write


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ user.username }}", "user"),
        ("{% if a and request.GET.x == 1 %}{% endif %}", "request"),
        ("{{ ''|default:perms.x }}{% for m in messages %}{% endfor %}", "messages, perms"),
        ("{% include 'part.html' %}", "user"),
        (LOAD + "{% nocache %}{{ user }}{% endnocache %}{{ artist.user }}", ""),
        ("{{ artist.name }}", ""),
    ],
)
def test_a_fragment_that_reads_its_visitor(
    site: Any, declare: Any, source: str, names: str
) -> None:
    declare("card.html", name="library.card")(of_artist)
    found = site(card=source, part="{% with u=user %}{{ u }}{% endwith %}")
    expected = f"library.card: its templates read {names}, which no fragment has"
    assert [(code, text.partition(":")[0]) for code, text in found] == (
        [("fragcache.W007", "library.card")] if names else []
    )
    assert all(text.startswith(expected) for _code, text in found)


def test_a_fragment_that_is_given_a_user(site: Any, declare: Any) -> None:
    declare("card.html", name="library.card")(of_user)
    assert site(card="{{ user.username }}") == []


@pytest.mark.parametrize(("vary_on", "codes"), [(["-language"], ["fragcache.W008"]), ([], [])])
@pytest.mark.parametrize(
    "tag", ["{% translate 'x' %}", "{% blocktranslate %}x{% endblocktranslate %}"]
)
def test_a_translated_fragment_without_languages(
    site: Any, declare: Any, vary_on: list[str], codes: list[str], tag: str
) -> None:
    declare("card.html", name="library.card", vary_on=vary_on)(of_nothing)
    assert [code for code, _text in site(card="{% load i18n %}" + tag)] == codes


@pytest.mark.parametrize(
    ("hole", "missing"),
    [
        ("{% nocache %}{{ p.pk }}{% endnocache %}", "p"),
        (
            "{% nocache with q=p.pk %}{% if q and forloop.first %}{% endif %}{% endnocache %}",
            "forloop",
        ),
        ("{% if x %}{% nocache %}{{ a|default:p }}{% endnocache %}{% endif %}", "p"),
        ("{% nocache with p=p.pk %}{{ p }}{{ user }}{% endnocache %}", ""),
    ],
)
def test_a_hole_that_reads_a_loop_which_is_over(site: Any, hole: str, missing: str) -> None:
    loop = f"{{% for p in products %}}{hole}{{% endfor %}}"
    found = site(page=LOAD + "{% cache 60 menu %}" + loop + "{% endcache %}")
    assert [code for code, _text in found] == (["fragcache.W009"] if missing else [])
    assert all(
        f"page.html, line 1: {{% nocache %}} reads {missing} of" in text for _, text in found
    )


def test_a_loop_around_the_block_is_there_when_it_is_filled_in(site: Any) -> None:
    block = "{% cache 60 menu p.pk %}{% nocache %}{{ p.pk }}{% endnocache %}{% endcache %}"
    assert site(page=LOAD + "{% for p in products %}" + block + "{% endfor %}") == []


def test_django_s_library_beside_ours(site: Any) -> None:
    theirs = "{% load cache %}{% cache 60 a %}{% endcache %}"
    ours = LOAD + "{% cache 60 b %}{% endcache %}"
    assert site(theirs=theirs) == []
    [(code, text)] = site(theirs=theirs, ours=ours, broken="{% cache %}{% wrod %}")
    assert code == "fragcache.W010"
    assert text.startswith("theirs.html: {% load cache %} is Django's {% cache %}, while ours.html")


@pytest.mark.parametrize(("is_shared", "codes"), [(True, ["fragcache.W011"]), (False, [])])
def test_one_name_in_two_templates_that_share_it(
    site: Any, settings: Any, is_shared: bool, codes: list[str]
) -> None:
    settings.FRAGCACHE = {"SHARED_BLOCKS": is_shared}
    block = LOAD + "{% cache 60 'menu' %}{% endcache %}"
    assert [code for code, _text in site(one=block, two=block)] == codes


def test_it_runs_with_all_checks_and_not_with_those_that_warming_needs(
    site: Any, declare: Any
) -> None:
    declare("card.html", name="library.card")(of_nothing)
    site(card="{{ user }}")
    assert "fragcache.W007" in {message.id for message in run_checks()}
    assert "fragcache.W007" not in {
        message.id for message in run_checks(tags=["templates", "caches", "models"])
    }
