"""Soundness: nothing changes what a fragment shows that does not change its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from fragcache import registry
from fragcache.declarations import Fragment
from fragcache.testing import requests
from fragcache.testing.changing import changes_of_rows
from fragcache.testing.subject import Subject
from fragcache.verifying.findings import difference
from fragcache.verifying.perturbing import perturbations, remedy

#: How many renders of the same have to be equal.
RENDERS: Final = 5

UNSTEADY: Final = (
    "Take random numbers, the time and CSRF tokens out of the fragment, and give its queries an "
    "order."
)
REQUEST: Final = (
    "A fragment is one for all requests: pass what it needs as an argument, or declare an axis."
)


def assert_fragment_sound(f: str | Fragment | type[Fragment], *args: Any, **kwargs: Any) -> None:
    """Assert that whatever changes the output of an instance changes its key.

    One thing at a time is changed and changed back: each axis of the project that the fragment
    does not vary on; the request, behind the project's middleware; and, where the fragment has a
    version, each field of the rows that the render loads, by ``save()`` in a transaction that is
    rolled back. Receivers of signals run.

    Raises:
        AssertionError: with what makes the difference, a diff, and a remedy.
        UnknownFragment, InvalidArguments, FragmentMissing: there is no such instance.
    """
    subject = Subject(registry.get(f), args, kwargs)
    usual = subject.output()
    problems = list(_of_chance(subject, usual))
    if not problems:  # what differs by chance proves nothing else
        problems = [
            *_of_axes(subject, usual),
            *_of_requests(subject, usual),
            *(
                _problem(change.about, usual, change.output, change.text, change.remedy)
                for change in changes_of_rows(subject, usual)
            ),
        ]
    if problems:
        raise AssertionError("\n\n".join([f"{subject} is not sound.", *problems]))


def _of_chance(subject: Subject, usual: str) -> Iterator[str]:
    for _time in range(RENDERS - 1):
        if (other := subject.output()) != usual:
            about = "Two renders in a row of the same data differ: it is not deterministic."
            yield _problem(about, usual, other, "another render", UNSTEADY)
            return


def _of_axes(subject: Subject, usual: str) -> Iterator[str]:
    found = set()
    for perturbation in perturbations(subject.fragment):
        with perturbation.entered():
            other = subject.output()
        name = perturbation.name
        if other != usual and name not in found:
            found.add(name)
            about = f"The axis {name!r} changes the output, and the key stays the same."
            advice = remedy(subject.fragment, name)
            yield _problem(about, usual, other, perturbation.text, advice)


def _of_requests(subject: Subject, usual: str) -> Iterator[str]:
    visits: dict[str, tuple[Callable[[], Any], bool]] = {
        "The request's scheme, host, path or headers": (requests.unlike, False),
        "The user who is logged in": (requests.usual, True),
    }
    first = requests.output_within(requests.usual(), subject.output, with_user=False)
    if first is None:
        return
    for what, (request, with_user) in visits.items():
        other = requests.output_within(request(), subject.output, with_user=with_user)
        if other is not None and other != first:
            about = f"{what} changes the output, and the key stays the same."
            yield _problem(about, first, other, "another request", REQUEST)


def _problem(about: str, usual: str, other: str, other_name: str, advice: str) -> str:
    return "\n".join([about, difference(usual, other, "as it is", other_name), advice])
