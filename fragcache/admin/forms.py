"""Forms: which fragment, and which instance of it, is meant; what is wrong is said beside it."""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.text import smart_split
from django.utils.translation import gettext_lazy as _

from fragcache import axes, deadline, registry
from fragcache.declarations import Fragment
from fragcache.exceptions import FragcacheError, UnknownAxis
from fragcache.management.arguments import arguments_of
from fragcache.reading.resolving import resolve, unpublished
from fragcache.stats.answering import PATIENCE, aliases
from fragcache.store import Store, store

logger = logging.getLogger("fragcache")

#: Before the name of an axis: that of its field.
AXIS: Final = "axis_"
#: So many values of an axis are offered; of more, one is written: 20,000 take seconds to show.
MANY: Final = 100


class FragmentForm(forms.Form):
    """A fragment that this site declares."""

    fragment = forms.CharField(
        label=_("Fragment"),
        max_length=255,
        widget=forms.TextInput(attrs={"list": "fragments", "class": "vTextField"}),
    )

    def clean_fragment(self) -> Fragment:
        try:
            return self.find(self.cleaned_data["fragment"])
        except FragcacheError as error:
            raise forms.ValidationError(str(error)) from error

    def find(self, name: str) -> Fragment:
        """Return the fragment of a name.

        Raises:
            FragcacheError: there is none.
        """
        return registry.get(name)


class ArgumentsForm(FragmentForm):
    """Arguments as well, as they are written in a template."""

    arguments = forms.CharField(
        label=_("Arguments"),
        required=False,
        max_length=1000,
        help_text=_('As in a template: 12, or 12 variant="row".'),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    #: By position, and by name.
    args: list[Any]
    kwargs: dict[str, Any]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        texts = list(smart_split(found.get("arguments", "")))
        self.args, self.kwargs = arguments_of(texts)
        if "fragment" in found and self.names_instance:
            try:
                found["fragment"].parameters.instance(self.args, self.kwargs)
            except FragcacheError as error:
                self.add_error("arguments", str(error))
            except Exception as error:  # noqa: BLE001 - its items tell the types of arguments
                self.add_error(None, _told(found["fragment"].name, error))
        return found

    @property
    def names_instance(self) -> bool:
        """Whether the arguments are to fit."""
        return True


class InvalidateForm(ArgumentsForm):
    """One instance, or all of a fragment: which of them is never told by empty arguments."""

    ONE, ALL = "one", "all"
    field_order = ["fragment", "scope", "arguments", "purge"]

    scope = forms.ChoiceField(
        label=_("What"),
        choices=[(ONE, _("the instance with these arguments")), (ALL, _("all instances"))],
        initial=ONE,
    )
    purge = forms.BooleanField(
        label=_("Show nothing meanwhile"),
        required=False,
        help_text=_(
            "With all instances: targets show nothing instead of the former entries, until they "
            "are warmed again."
        ),
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean()
        if self.is_all and found.get("arguments"):
            self.add_error("arguments", _("All instances are meant: leave this empty."))
        if found.get("purge") and not self.is_all:
            self.add_error("purge", _("Only for all instances."))
        return found

    @property
    def is_all(self) -> bool:
        """Whether all instances are meant."""
        return self.cleaned_data.get("scope") == self.ALL

    @property
    def names_instance(self) -> bool:
        return not self.is_all


class ClearForm(forms.Form):
    """All fragments."""

    purge = forms.BooleanField(
        label=_("Show nothing meanwhile"),
        required=False,
        help_text=_(
            "Targets show nothing instead of the former entries, until they are warmed again."
        ),
    )


class InstanceForm(ArgumentsForm):
    """An instance as a page sees it: by axis values, in one of the caches."""

    def __init__(self, data: QueryDict | None, request: HttpRequest) -> None:
        own = None if data is None else data.copy()
        super().__init__(own)
        self._found: dict[str, Fragment | FragcacheError] = {}
        self._problems: list[str] = []
        known = aliases()
        if len(known) > 1:
            self.fields["using"] = forms.ChoiceField(
                label=_("Cache alias"),
                required=False,
                choices=[("", _("the fragment's own")), *((alias, alias) for alias in known)],
            )
        for name in self._axes():
            self._add_axis(name, request)
            field = self.fields.get(f"{AXIS}{name}")
            if own is not None and field is not None and not own.get(f"{AXIS}{name}"):
                own[f"{AXIS}{name}"] = field.initial  # the one that is shown as chosen

    def find(self, name: str) -> Fragment:
        # A target asks its cache for each name, which may be slow to answer: once is enough.
        if name not in self._found:
            self._found[name] = self._resolved(name)
        found = self._found[name]
        if isinstance(found, FragcacheError):
            raise found
        return found

    def clean(self) -> dict[str, Any]:
        found = super().clean()
        for problem in self._problems:
            self.add_error(None, problem)
        self.axis_values: dict[str, Any] = {}
        for name in self._axes():
            if text := found.get(f"{AXIS}{name}"):
                try:
                    self.axis_values[name] = axes.get(name).from_text(text)
                except ValueError as error:
                    self.add_error(f"{AXIS}{name}", f"{error}.")
                except Exception as error:  # noqa: BLE001 - likewise
                    self.add_error(f"{AXIS}{name}", _told(_axis_words(name), error))
        return found

    @property
    def cache(self) -> Store:
        """The store that the instance lies in, of a form that is valid."""
        return store(self._using() or self.cleaned_data["fragment"].using)

    def _using(self) -> str | None:
        using = self.data.get("using")
        return using if using in aliases() else None

    def _resolved(self, name: str) -> Fragment | FragcacheError:
        try:
            with deadline.within(PATIENCE):
                return resolve(name, self._using()) or unpublished(name)
        except FragcacheError as error:
            return error

    def _axes(self) -> tuple[str, ...]:
        """Return the names of the fragment's axes, none while there is no such fragment."""
        with suppress(FragcacheError):
            return self.find(self.data.get("fragment", "").strip()).axes
        return ()

    def _add_axis(self, name: str, request: HttpRequest) -> None:
        """Add the field of an axis, or remember why it has none."""
        try:
            self.fields[f"{AXIS}{name}"] = _axis_field(name, request)
        except UnknownAxis as error:
            self._problems.append(str(error))
        except Exception as error:  # noqa: BLE001 - axes are the site's own code
            self._problems.append(_told(_axis_words(name), error))


def _axis_field(name: str, request: HttpRequest) -> forms.Field:
    """Return the field of an axis value, at first this request's own.

    It offers those that are warmed, as long as they are few.
    """
    axis = axes.get(name)
    current = axis.to_text(axis.current(request))
    texts = list(dict.fromkeys([*map(axis.to_text, islice(axis.values(), MANY + 1)), current]))
    if len(texts) > MANY:
        return forms.CharField(label=name, required=False, initial=current)
    return forms.ChoiceField(
        label=name,
        required=False,
        initial=current,
        choices=[(text, text) for text in texts],
    )


def _told(name: str, error: Exception) -> str:
    """Log what the site's own code has raised, and return it for who looks."""
    logger.error("The code of %s has failed.", name, exc_info=error)
    about = {"name": name, "error": f"{type(error).__name__}: {error}"}
    return _("The code of %(name)s has failed: %(error)s") % about


def _axis_words(name: str) -> str:
    return _("the axis %(name)s") % {"name": name}
