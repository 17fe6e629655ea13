"""Remote fragments: declared by a source, rendered by a target with its own template."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

from fragcache import axes, manifest, registry
from fragcache.arguments import MISSING, Parameters
from fragcache.bubbling import note_unstorable
from fragcache.contexts.fetching import Context, fetch_contexts, fetch_states
from fragcache.contexts.presence import are_there
from fragcache.contexts.shapes import check_shape
from fragcache.declarations import Fragment
from fragcache.exceptions import FragmentMissing, UnknownFragment
from fragcache.guard import reading
from fragcache.reading.resolving import unpublished
from fragcache.store import store


class TargetFragment(Fragment):
    """A fragment that this site renders from the contexts that a source publishes.

    Its version is which context is newest, so that a new one is a new entry. Its arguments, axes
    and stamps are those that the source declares; own axes may be added.
    """

    is_remote: ClassVar[bool] = True

    def __init__(
        self, name: str, template_name: str | None, shape: type[Any] | None, **options: Any
    ) -> None:
        if shape is not None:
            check_shape(shape)
        self.shape = shape
        super().__init__(name=name, template_name=template_name, **options)

    @property
    def published(self) -> Fragment | None:
        cache = store(self.using)
        try:
            return reading(cache, None, manifest.find, cache, self.name)
        except UnknownFragment:
            return None

    @property
    def parameters(self) -> Parameters:
        published = self._published()
        if not self.choices:
            return published.parameters
        return dataclasses.replace(published.parameters, choices=self.choices)

    @property
    def item_model(self) -> None:
        """None: rows are the source's."""

    @property
    def axes(self) -> tuple[str, ...]:
        published = self.published
        return tuple(sorted({*self._own_axes, *(published.axes if published else ())}))

    @property
    def is_stamped(self) -> bool:
        return self._published().is_stamped

    @property
    def is_warmable(self) -> bool:
        return self.items is not None or (self.published is not None and super().is_warmable)

    @property
    def context_function(self) -> Callable[..., Any]:
        # Its code is in the digest: what the template is given is an instance of the shape.
        return self.shape or self.get_contexts

    def get_versions(self, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        found = fetch_states(self._published(), items, using=self.using)
        return [MISSING if one is None else one for one in found]

    def are_available(self, items: Sequence[tuple[Any, ...]]) -> list[bool]:
        return are_there(self._published(), items, using=self.using)

    def get_version(self, *args: Any) -> Any:
        return self.get_versions([args])[0]

    def get_context(self, *args: Any) -> dict[str, Any]:
        return self.get_contexts([args])[0]

    def get_contexts(self, items: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return the newest published contexts.

        Raises:
            FragmentMissing: one has ended.
            ShapeMismatch: one does not fit the shape, and none before it is to be had.
        """
        found = fetch_contexts(self._published(), items, {}, shape=self.shape, using=self.using)
        return [self._values(args, one) for args, one in zip(items, found, strict=True)]

    def _values(self, args: tuple[Any, ...], context: Context | None) -> dict[str, Any]:
        if context is None:
            raise FragmentMissing(
                f"The context of {self.name}({', '.join(map(repr, args))}) has ended since its "
                "version was read: run warm_fragments on the source."
            )
        if context.is_stale:  # what is stored counts as fresh
            note_unstorable()
        if self.shape is None:
            return context.values
        made = context.fitted
        return {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}

    @cached_property
    def _own_axes(self) -> tuple[str, ...]:
        return axes.plan(self.vary_on)

    def _published(self) -> Fragment:
        published = self.published
        if published is None:
            raise unpublished(self.name)
        return published


def remote_fragment(
    name: str,
    template_name: str | None = None,
    *,
    shape: type[Any] | None = None,
    **options: Any,
) -> TargetFragment:
    """Declare on a target a fragment whose contexts a source publishes, with a template of its own.

    ``shape`` is a dataclass that contexts have to fit, whose attributes the template gets;
    ``options`` are those of a fragment: ``items`` lists what ``warm_fragments`` walks.

    Raises:
        ImproperlyDeclared: the options contradict each other, or ``shape`` is no dataclass.
        DuplicateFragment: the name is taken.
    """
    return registry.add(TargetFragment(name, template_name, shape, **options))
