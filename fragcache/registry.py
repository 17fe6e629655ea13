"""The registry of declared fragments, filled by each app's ``fragments.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fragcache.declarations import Fragment, FunctionFragment
from fragcache.exceptions import DuplicateFragment, ImproperlyDeclared, UnknownFragment
from fragcache.suggestions import did_you_mean

FragmentClass = TypeVar("FragmentClass", bound=type[Fragment])

_fragments: dict[str, Fragment] = {}


def fragment(
    template_name: str | None = None, **options: Any
) -> Callable[[Callable[..., dict[str, Any]]], FunctionFragment]:
    """Declare the decorated function, which returns a context, as a fragment.

    Raises:
        ImproperlyDeclared: the options contradict each other or name what does not exist.
        DuplicateFragment: the name is taken.
    """
    if callable(template_name):
        raise ImproperlyDeclared("Write @fragment('template.html'), with parentheses.")

    def declare(function: Callable[..., dict[str, Any]]) -> FunctionFragment:
        return add(FunctionFragment(function, template_name=template_name, **options))

    return declare


def register(declaration: FragmentClass) -> FragmentClass:
    """Register the decorated subclass of ``Fragment``.

    Raises:
        ImproperlyDeclared: its attributes contradict each other or name what does not exist.
        DuplicateFragment: the name is taken.
    """
    add(declaration())
    return declaration


FragmentT = TypeVar("FragmentT", bound=Fragment)


def add(declared: FragmentT) -> FragmentT:
    """Register a fragment and return it."""
    former = _fragments.get(declared.name)
    if former is not None:
        raise DuplicateFragment(
            f"Two fragments are called {declared.name!r}: in {_origin(former)} and in "
            f"{_origin(declared)}. Give one of them name='...'."
        )
    _fragments[declared.name] = declared
    return declared


def remove(name: str) -> None:
    """Forget a fragment, for tests that declare their own."""
    _fragments.pop(name, None)


def find(reference: str | Fragment | type[Fragment]) -> Fragment | None:
    """Return the fragment that a name, or the fragment or its class, stands for."""
    if isinstance(reference, Fragment):
        return reference
    if isinstance(reference, type) and issubclass(reference, Fragment):
        return next((f for f in _fragments.values() if type(f) is reference), None)
    return _fragments.get(reference)


def get(reference: str | Fragment | type[Fragment]) -> Fragment:
    """Return the fragment that a name, or the fragment or its class, stands for.

    Raises:
        UnknownFragment: with the nearest known name.
    """
    found = find(reference)
    if found is None:
        raise unknown(reference)
    return found


def unknown(reference: object) -> UnknownFragment:
    """Return the error for a name that nobody declares."""
    hint = did_you_mean(reference, _fragments) if isinstance(reference, str) else ""
    return UnknownFragment(
        f"No fragment is called {reference!r}.{hint} Fragments are declared in the fragments.py "
        "of installed apps, which a restart of the server finds; `manage.py fragments list` shows "
        "them. A site that only reads those of another needs FRAGCACHE['READ_ONLY']."
    )


def all_fragments() -> list[Fragment]:
    """Return every declared fragment, sorted by name."""
    return [_fragments[name] for name in sorted(_fragments)]


def _origin(declared: Fragment) -> str:
    return getattr(declared, "__module__", None) or type(declared).__module__
