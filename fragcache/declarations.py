"""Declarations: what a fragment is, so that it can be rendered outside of a request."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, TypeGuard

from django.apps import apps
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import ModelIterable
from django.template.loader import get_template

from fragcache import axes, conf
from fragcache.arguments import MISSING, Missing, Parameters
from fragcache.entry import Kind
from fragcache.exceptions import ImproperlyDeclared
from fragcache.row_reading import Reader, row_reader
from fragcache.signatures import parameters_of
from fragcache.suggestions import did_you_mean
from fragcache.token_memory import TokenName
from fragcache.validation import check_declaration

Items = Callable[[], Iterable[Any]]
Version = str | Sequence[str] | Callable[..., Any] | None

#: Until a ``max_age`` is given, an entry is rebuilt at the latest after so many time-outs.
MAX_AGE_TIMEOUTS: Final = 7


class Fragment:
    """A declared, named piece of a page; subclass it for bulk contexts and overrides.

    Durations are in seconds. ``timeout`` is how long an entry lives after it was last warmed or
    stored, ``max_age`` how old it may become at all; ``None`` is for ever. ``expose`` names what
    is published of models beside their fields: properties, and methods without arguments.
    """

    name: str = ""
    template_name: str | None = None
    items: Items | Iterable[Any] | None = None
    model: type[Model] | str | None = None
    version: Version = None
    choices: Mapping[str, Sequence[Any]] = {}
    prefetch_related: Sequence[Any] = ()
    vary_on: Sequence[str] = ()
    timeout: float | Missing | None = MISSING
    max_age: float | Missing | None = MISSING
    stale_while_revalidate: float = 0
    stale_if_error: float = 0
    revision: str | int = ""
    stamped: bool = False
    using: str | None = None
    publish: Literal["html", "context", "both"] = "html"
    expose: Sequence[str] = ()

    #: Whether this process can render it; a target knows fragments that it cannot.
    is_local: ClassVar[bool] = True
    #: Whether another site declares its arguments, and tells of them in a manifest.
    is_remote: ClassVar[bool] = False
    #: What its entries are.
    entry_kind: ClassVar[Kind] = Kind.HTML

    def __init__(self, **options: Any) -> None:
        for option, value in options.items():
            if option not in OPTIONS:
                raise ImproperlyDeclared(
                    f"{option!r} is not an option of a fragment.{did_you_mean(option, OPTIONS)} "
                    f"Options are {', '.join(OPTIONS)}."
                )
            setattr(self, option, value)
        self.name = self.name or default_name(type(self).__module__, _snake(type(self).__name__))
        check_declaration(self, OPTIONS, Fragment)

    def get_context(self, *args: Any) -> dict[str, Any]:
        """Return the context of one instance."""
        return self.get_contexts([args])[0]

    def get_contexts(self, items: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return the contexts of many instances, in their order; override for bulk queries."""
        if type(self).get_context is Fragment.get_context:
            raise ImproperlyDeclared(f"{self.name} needs get_context() or get_contexts().")
        return [self.get_context(*args) for args in items]

    def get_template(self) -> Any:
        """Return the backend template that its contexts are rendered with."""
        if self.template_name is None:
            raise ImproperlyDeclared(f"{self.name} has no template: it is published as context.")
        return get_template(self.template_name)

    def get_version(self, *args: Any) -> Any:
        """Return what changes whenever the output changes: an mtime, a number, a tuple of them."""
        if callable(self.version):
            return self.version(*args)
        raise ImproperlyDeclared(f"{self.name} has no version that is a function.")

    def get_versions(self, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the versions of many instances, MISSING for those that are not to be had."""
        return [self.get_version(*args) for args in items]

    def are_available(self, items: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Return which instances can be rendered, of those whose rows are another site's."""
        return [True] * len(items)

    @property
    def published(self) -> Fragment | None:
        """As who publishes it declares it; None while another site has not told."""
        return self

    def __repr__(self) -> str:
        return f"<Fragment {self.name}>"

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters of its context function."""
        return parameters_of(
            self.context_function,
            owner=self.name,
            choices=self.choices,
            model=self.item_model,
        )

    @property
    def context_function(self) -> Callable[..., Any]:
        """The function whose signature is the fragment's and whose code is in its digest."""
        kind = type(self)
        if kind.get_context is not Fragment.get_context:
            return self.get_context
        if kind.get_version is not Fragment.get_version:
            return self.get_version
        return lambda item: None if item is None else self.get_contexts([(item,)])

    @cached_property
    def item_model(self) -> type[Model] | None:
        """The model of its first argument: ``model``, or that of the queryset of ``items``."""
        if isinstance(self.model, str):
            try:
                return apps.get_model(self.model)
            except (LookupError, ValueError) as error:
                raise ImproperlyDeclared(f"{self.name}: model={self.model!r}: {error}") from error
        if self.model is not None:
            return self.model
        items = self.get_items()
        return items.model if is_rows(items) else None

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The names of its axes, sorted."""
        return axes.plan(self.vary_on)

    @cached_property
    def token_name(self) -> TokenName:
        return TokenName(self.name)

    @property
    def is_stamped(self) -> bool:
        """Whether single instances can be invalidated."""
        return self.stamped or not self.is_versioned

    @cached_property
    def is_versioned(self) -> bool:
        return self.version is not None or type(self).get_version is not Fragment.get_version

    @cached_property
    def version_paths(self) -> tuple[str, ...] | None:
        """The field paths that are its version, or None where a function computes it."""
        if type(self).get_version is not Fragment.get_version or callable(self.version):
            return None
        if self.version is None:
            return None
        return (self.version,) if isinstance(self.version, str) else tuple(self.version)

    @cached_property
    def row_reader(self) -> Reader | None:
        """What reads primary key and version off a row; None where rows do not carry them."""
        paths, pk = self.version_paths, self.parameters.pk_attribute
        is_usual = paths is not None and self.parameters.pk_type is not None
        return row_reader(pk, paths) if is_usual and paths else None

    @property
    def life(self) -> float | None:
        """Seconds that an entry is kept, beyond which nothing may be served, stale or not."""
        timeout = self.effective_timeout
        if timeout is None:
            return None
        return timeout + max(self.stale_while_revalidate, self.stale_if_error)

    @property
    def effective_timeout(self) -> float | None:
        return conf.settings().TIMEOUT if isinstance(self.timeout, Missing) else self.timeout

    @property
    def effective_max_age(self) -> float | None:
        """Seconds after which an entry is rebuilt, whatever its version says."""
        if not self.is_versioned:
            return self.effective_timeout
        if not isinstance(self.max_age, Missing):
            return self.max_age
        timeout = self.effective_timeout
        return None if timeout is None else timeout * MAX_AGE_TIMEOUTS

    def get_items(self) -> Iterable[Any] | None:
        """Return what ``warm_fragments`` walks; a queryset is not evaluated yet."""
        items = self.items() if callable(self.items) else self.items
        return items.all() if isinstance(items, Manager | QuerySet) else items

    @property
    def is_warmable(self) -> bool:
        """Whether all its instances can be listed."""
        if self.items is not None:
            return True
        names = self.parameters.names
        required = names[: len(names) - len(self.parameters.defaults)]
        return all(name in self.choices for name in required)

    def choice_combinations(self) -> list[dict[str, Any]]:
        """Return every combination of the declared choices, as keyword arguments."""
        names = list(self.choices)
        rows = itertools.product(*self.choices.values())
        return [dict(zip(names, row, strict=True)) for row in rows]


OPTIONS: Final = tuple(
    option
    for option in Fragment.__annotations__
    if not option.startswith("_") and option not in {"is_local", "is_remote", "entry_kind"}
)


class FunctionFragment(Fragment):
    """A fragment whose context a function returns; calling it returns the context as well."""

    def __init__(self, function: Callable[..., dict[str, Any]], **options: Any) -> None:
        self.function = function
        options.setdefault("name", default_name(function.__module__, function.__name__))
        super().__init__(**options)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self.function(*args, **kwargs)

    def get_context(self, *args: Any) -> dict[str, Any]:
        return self.function(*args)

    @property
    def context_function(self) -> Callable[..., Any]:
        return self.function


def is_rows(items: object) -> TypeGuard[QuerySet[Any]]:
    """Whether ``items`` is a queryset of model instances, not of values()."""
    return isinstance(items, QuerySet) and items._iterable_class is ModelIterable


def default_name(module: str, name: str) -> str:
    """Return ``<app label>.<name>``; outside of an app the module's first part stands for it."""
    config = apps.get_containing_app_config(module) if apps.apps_ready else None
    return f"{config.label if config else module.partition('.')[0]}.{name}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
