"""Digests: which code made an entry, so that old and new releases never read each other's.

A digest is of what this process compiled and imported, never of files at the time of reading: a
worker that was not restarted would else store old HTML under a new key. It covers the template
and all that it extends, includes or shows as a fragment by a literal name, the code of the tags
and filters used, of the context function and model, translations, static files and the settings
that show in output. Includes by a variable are recorded while rendering (see ``rendering``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from typing import Any, Final, Protocol

import django
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.signals import setting_changed
from django.template import TemplateDoesNotExist
from django.utils import translation
from django.utils.autoreload import file_changed

from fragcache import axes, registry
from fragcache.declarations import Fragment
from fragcache.digests.codes import code_parts, literal
from fragcache.digests.formats import format_parts
from fragcache.digests.templates import Closure, closure, is_reloading
from fragcache.keys import CONTEXTS

CHARACTERS: Final = 16

#: Settings that show in rendered output without any trace in a template.
OUTPUT_SETTINGS: Final = (
    "DATE_FORMAT",
    "DATETIME_FORMAT",
    "DATETIME_INPUT_FORMATS",
    "DATE_INPUT_FORMATS",
    "DECIMAL_SEPARATOR",
    "FIRST_DAY_OF_WEEK",
    "FORMAT_MODULE_PATH",
    "FORM_RENDERER",
    "FORCE_SCRIPT_NAME",
    "LANGUAGES",
    "LANGUAGE_CODE",
    "MEDIA_URL",
    "MONTH_DAY_FORMAT",
    "NUMBER_GROUPING",
    "SHORT_DATE_FORMAT",
    "SHORT_DATETIME_FORMAT",
    "STATIC_URL",
    "THOUSAND_SEPARATOR",
    "TIME_FORMAT",
    "TIME_INPUT_FORMATS",
    "TIME_ZONE",
    "URLIZE_ASSUME_HTTPS",
    "USE_I18N",
    "USE_THOUSAND_SEPARATOR",
    "USE_TZ",
    "YEAR_MONTH_FORMAT",
)

#: Those of template engines that do.
ENGINE_OPTIONS: Final = ("autoescape", "string_if_invalid")

_digests: dict[str, str] = {}
_shown: dict[str, frozenset[str]] = {}


class Digested(Fragment):
    """A fragment that knows its digest."""

    digest: str


class Compiled(Hashable, Protocol):
    """A template as its engine compiled it, equal to none that was compiled of another source."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def is_reloading(self) -> bool: ...

    def closure(self) -> Closure: ...


def digest_of(fragment: Fragment) -> str:
    """Return the digest of a fragment, computed once per process.

    Raises:
        TemplateDoesNotExist, TemplateSyntaxError: as Django's ``get_template`` does.
    """
    if isinstance(fragment, Digested):
        return fragment.digest
    digest = _digests.get(fragment.name)
    if digest is None:
        digest = _digest(_parts(fragment))
        if fragment.template_name is None or not is_reloading(fragment.template_name):
            _digests[fragment.name] = digest
    return digest


def context_digest(fragment: Fragment) -> str:
    """Return the digest of the code that makes a fragment's contexts, computed once per process."""
    key = f"{fragment.name} {CONTEXTS}"
    digest = _digests.get(key)
    if digest is None:
        parts = [key, str(fragment.axes), str(fragment.revision), *fragment.expose]
        digest = CONTEXTS + _digest([*parts, *_environment(), *_code(fragment)])
        _digests[key] = digest
    return digest


def shown_by(fragment: Fragment) -> frozenset[str]:
    """Return the names of the fragments that templates show within it, as far as they are literal.

    Raises:
        As ``digest_of``.
    """
    if isinstance(fragment, Digested) or not fragment.template_name:
        return frozenset()
    names = _shown.get(fragment.name)
    if names is None:
        shown = {fragment.name}
        for _part in _template_parts(fragment.template_name, shown):
            pass
        names = frozenset(shown - {fragment.name})
        if not is_reloading(fragment.template_name):
            _shown[fragment.name] = names
    return names


def digest_of_compiled(template: Compiled) -> str:
    """Return the digest of what stands in a template, computed once per process."""
    if template.is_reloading:
        return _digest_of_compiled.__wrapped__(template)
    return _digest_of_compiled(template)


@functools.lru_cache(maxsize=4096)
def _digest_of_compiled(template: Compiled) -> str:
    own = f"compiled {template.fingerprint}"
    return _digest([own, *_environment(), *_closure_parts(template.closure(), set())])


@functools.lru_cache(maxsize=1024)
def includes_digest(template_names: tuple[str, ...]) -> str:
    """Return the digest of templates that were included by a variable's value."""
    return _digest(part for name in template_names for part in _included_parts(name))


def _included_parts(template_name: str) -> Iterable[str]:
    try:
        yield from _template_parts(template_name, set())
    except TemplateDoesNotExist:  # an entry of a former release names it: not current any more
        yield f"template {template_name} does not exist"


def _parts(fragment: Fragment) -> Iterable[str]:
    yield f"fragment {fragment.name} {fragment.axes} {fragment.revision}"
    yield from fragment.expose
    yield from _environment()
    yield from _code(fragment)
    if fragment.template_name is not None:
        yield from _template_parts(fragment.template_name, {fragment.name})


def _code(fragment: Fragment) -> Iterable[str]:
    functions: list[Callable[..., Any]] = [fragment.context_function]
    if type(fragment).__module__ != Fragment.__module__:
        functions.append(type(fragment))
    if callable(fragment.version):
        functions.append(fragment.version)
    if fragment.item_model is not None:
        functions.append(fragment.item_model)
    for function in functions:
        yield from code_parts(function)


def _template_parts(template_name: str, shown: set[str]) -> Iterable[str]:
    """Yield the parts of a template; ``shown`` are fragments that need not be followed again."""
    return _closure_parts(closure(template_name), shown)


def _closure_parts(found: Closure, shown: set[str]) -> Iterable[str]:
    for name in sorted(found.sources):
        yield f"template {name}\n{found.sources[name]}"
    for code in found.codes:
        yield from code_parts(code)
    for name in sorted(found.fragments - shown):
        shown.add(name)
        inner = registry.find(name)
        if inner is not None and inner.template_name is not None:
            yield f"shows {name} {inner.axes} {inner.revision}"
            yield from _code(inner)
            yield from _template_parts(inner.template_name, shown)


@functools.cache
def _environment() -> tuple[str, ...]:
    parts = [f"django {django.get_version()}"]
    parts += [f"{name}={literal(getattr(settings, name, None))}" for name in OUTPUT_SETTINGS]
    parts += [f"engine {literal(option)}" for option in _engine_options()]
    parts += format_parts()
    if apps.is_installed("django.contrib.staticfiles"):
        parts.append(f"static {getattr(staticfiles_storage, 'manifest_hash', '')}")
    if settings.USE_I18N:
        parts += [_catalog(language) for language in axes.Language().values()]
    return tuple(parts)


def _engine_options() -> Iterable[tuple[Any, ...]]:
    for engine in settings.TEMPLATES or ():  # Django's own tests have None
        options = engine.get("OPTIONS", {})
        yield from ((name, options[name]) for name in ENGINE_OPTIONS if name in options)


def _catalog(language: str) -> str:
    from django.utils.translation import trans_real

    with translation.override(language):
        messages = trans_real.catalog()._catalog  # type: ignore[attr-defined]
        text = repr(sorted((repr(key), value) for key, value in messages.items()))
    return f"catalog {language} {blake2b(text.encode()).hexdigest()}"


def _digest(parts: Iterable[str]) -> str:
    state = blake2b(digest_size=CHARACTERS // 2)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        state.update(len(raw).to_bytes(8) + raw)
    return state.hexdigest()


def forget(**_kwargs: object) -> None:
    """Compute every digest anew: a setting changed, or runserver saw a file change."""
    _digests.clear()
    _shown.clear()
    includes_digest.cache_clear()
    _digest_of_compiled.cache_clear()
    _environment.cache_clear()


setting_changed.connect(forget, dispatch_uid="fragcache.digests.fragments")
file_changed.connect(forget, dispatch_uid="fragcache.digests.fragments")
