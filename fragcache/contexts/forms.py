"""Forms: what a fragment is stored as, its HTML, its context or both."""

from __future__ import annotations

import functools
from typing import ClassVar, Final

from fragcache.declarations import Fragment
from fragcache.digests import Digested, context_digest
from fragcache.entry import Kind
from fragcache.exceptions import ImproperlyDeclared
from fragcache.keys import CONTEXTS

#: Under what name a fragment keeps its other form.
_FORM: Final = "_context_form"


class ContextForm(Digested):
    """A fragment whose entries are contexts; all else is as it is declared.

    It has the name and tokens of the fragment, and a digest, and so entries and heads, of its own.
    """

    entry_kind: ClassVar[Kind] = Kind.SNAPSHOT

    declared: Fragment

    @property
    def digest(self) -> str:  # type: ignore[override]
        # Heads are found by the mark of contexts alone, so that a target needs no more.
        return context_digest(self.declared) if self.declared.is_local else CONTEXTS


def context_form(fragment: Fragment) -> ContextForm:
    """Return the form in which a fragment's contexts are published."""
    form: ContextForm | None = vars(fragment).get(_FORM)
    if form is None:
        form = object.__new__(_form_of(type(fragment)))  # type: ignore[arg-type]
        vars(form).update(vars(fragment), declared=fragment)
        vars(fragment)[_FORM] = form
    return form


def forms_of(fragment: Fragment) -> tuple[Fragment, ...]:
    """Return the forms in which a fragment is published, HTML first."""
    if fragment.publish == "html":
        return (fragment,)
    context = context_form(fragment)
    return (context,) if fragment.publish == "context" else (fragment, context)


def check_publishes_contexts(fragment: Fragment) -> None:
    """Check that a fragment's contexts may be published.

    Raises:
        ImproperlyDeclared: it is declared as HTML alone.
    """
    if fragment.publish == "html":
        raise ImproperlyDeclared(
            f"{fragment.name} is published as HTML: declare publish='context', or 'both'."
        )


@functools.cache
def _form_of(kind: type[Fragment]) -> type[ContextForm]:
    return type(kind.__name__, (ContextForm, kind), {})
