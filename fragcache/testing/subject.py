"""The subject of a test of soundness: one instance, its output and its key, as they are now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Model
from django.db.models.signals import post_init

from fragcache import axes, page, rendering, transactions, versions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes
from fragcache.slots import token_names
from fragcache.verifying.findings import call_of
from fragcache.verifying.texts import text_of


class Subject:
    """One instance of a fragment; all of it is read anew from the database each time."""

    def __init__(self, fragment: Fragment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fragment = fragment
        self.instance = fragment.parameters.instance(args, kwargs)
        self._axes = axes.current_values(fragment.axes, None)

    def __str__(self) -> str:
        return call_of(self.fragment, self._by_key(self.instance.arguments))

    def output(self) -> str:
        """Return a fresh render, with its holes named.

        Raises:
            FragmentMissing: no item has that key.
        """
        arguments = self._reloaded()
        with axes.activated(self._axes), rendering.uncached():
            [output] = rendering.render_many(self.fragment, [arguments], fresh=True)
        if output is None:
            raise rendering.missing(self.fragment, self.instance.arguments)
        return text_of(output.html)

    def key(self) -> tuple[Any, ...]:
        """Return what an entry is found by, and which tokens a commit will replace."""
        fragment, instance = self.fragment, self.instance
        names = token_names(fragment, instance.encoded)
        version = None
        if fragment.is_versioned:
            here = Instance(self._reloaded(), instance.encoded)
            with axes.activated(self._axes):
                [version] = versions.of_instances(fragment, [here], page.outside())
        return (
            base_key(fragment.name, instance.encoded, encode_axes(self._axes)),
            version and version.encoded,
            digest_of(fragment),
            frozenset(names).intersection(transactions.awaited()),
        )

    def rows(self) -> list[Model]:
        """Return the rows among the arguments."""
        fragment, arguments = self.fragment, self.instance.arguments
        if arguments and fragment.item_model and not isinstance(arguments[0], Model):
            first = fragment.item_model._base_manager.get(pk=arguments[0])
            arguments = (first, *arguments[1:])
        return [argument for argument in arguments if isinstance(argument, Model)]

    def _reloaded(self) -> tuple[Any, ...]:
        return self._by_key(tuple(map(_reloaded, self.instance.arguments)))

    def _by_key(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return arguments as a run lists them; the version is then the database's."""
        if self.fragment.item_model is None or not arguments:
            return arguments
        return (self.fragment.parameters.primary_key(arguments[0]), *arguments[1:])


@contextmanager
def loaded_rows() -> Iterator[list[Model]]:
    """Collect the rows that are loaded within; what is made there and not loaded is among them."""
    found: list[Model] = []

    def note(instance: Model, **_kwargs: Any) -> None:
        found.append(instance)

    post_init.connect(note)
    try:
        yield found
    finally:
        post_init.disconnect(note)


def _reloaded(value: Any) -> Any:
    if not isinstance(value, Model) or value.pk is None:
        return value
    return type(value)._base_manager.using(value._state.db).get(pk=value.pk)
