"""Formats of numbers and dates: what of them a digest has to tell.

Django has no switch of its own for formats: they are the language's, by the settings, by its own
modules (known by its version), and by those that FORMAT_MODULE_PATH names.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from django.conf import settings
from django.utils.formats import iter_format_modules

from fragcache.digests.codes import literal

_OF_DJANGO: Final = "django.conf.locale."


def format_parts() -> list[str]:
    """Return what identifies the formats of the project's own modules, in all its languages."""
    if not settings.FORMAT_MODULE_PATH:
        return []
    modules = {
        module.__name__: module
        for language, _name in settings.LANGUAGES
        for module in iter_format_modules(language)
        if not module.__name__.startswith(_OF_DJANGO)
    }
    return [f"formats {name} {_formats_of(module)}" for name, module in sorted(modules.items())]


def _formats_of(module: ModuleType) -> str:
    return literal({name: v for name, v in sorted(vars(module).items()) if name.isupper()})
