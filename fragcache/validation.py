"""Validation: what is wrong with a declaration, said where it is written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from fragcache.arguments import Missing
from fragcache.exceptions import ImproperlyDeclared

if TYPE_CHECKING:
    from fragcache.declarations import Fragment

PUBLISH: Final = ("html", "context", "both")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
#: How alike an attribute and an option are where one is meant for the other.
_ALIKE: Final = 0.8


def check_declaration(fragment: Fragment, options: Sequence[str], base: type) -> None:
    """Check a fragment's options, and the attributes by which its class adds to ``base``.

    Raises:
        ImproperlyDeclared: with the first thing that is wrong.
    """
    if not _NAME.fullmatch(fragment.name):
        raise ImproperlyDeclared(
            f"{fragment.name!r} is not a name for a fragment: use letters, digits, _ and -, as in "
            "'courses.course_card'."
        )
    checks: tuple[Callable[..., Iterator[str]], ...] = (
        _wrong_template,
        _wrong_lists,
        _wrong_durations,
    )
    for check in checks:
        for problem in check(fragment):
            raise ImproperlyDeclared(f"{fragment.name}: {problem}")
    for problem in _misspelled(fragment, options, base):
        raise ImproperlyDeclared(f"{fragment.name}: {problem}")


def _wrong_template(fragment: Fragment) -> Iterator[str]:
    if fragment.publish not in PUBLISH:
        yield f"publish={fragment.publish!r} is none of {', '.join(PUBLISH)}."
    if fragment.template_name is None and fragment.publish != "context":
        yield "it has no template: name one, or say publish='context'."


def _wrong_lists(fragment: Fragment) -> Iterator[str]:
    for option in ("prefetch_related", "vary_on", "expose"):
        value = getattr(fragment, option)
        if isinstance(value, str):
            yield f"{option}={value!r} is one string: write {option}=[{value!r}]."
    for name, values in fragment.choices.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            yield f"choices[{name!r}] is {values!r}, not a list."
    if isinstance(fragment.items, str | type):
        yield (
            f"items is {fragment.items!r}: give a queryset, a list, or a function that returns one."
        )


def _wrong_durations(fragment: Fragment) -> Iterator[str]:
    for option in ("timeout", "max_age", "stale_while_revalidate", "stale_if_error"):
        value: Any = getattr(fragment, option)
        if isinstance(value, Missing) or (value is None and not option.startswith("stale")):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            yield f"{option}={value!r} is not a number of seconds."


def _misspelled(fragment: Fragment, options: Sequence[str], base: type) -> Iterator[str]:
    for attribute in vars(type(fragment)):
        if attribute.startswith("_") or hasattr(base, attribute):
            continue
        for nearest in difflib.get_close_matches(attribute, options, n=1, cutoff=_ALIKE):
            yield f"its attribute {attribute!r} is no option. Did you mean {nearest!r}?"
