"""Checks of each declaration: its template, parameters, axes and version."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import FieldError
from django.db import DatabaseError
from django.template import TemplateDoesNotExist, TemplateSyntaxError

from fragcache import axes, registry
from fragcache.checks.settings import has_usable_settings
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import FragcacheError
from fragcache.items import rows


def check_fragments(**_kwargs: Any) -> list[CheckMessage]:
    """Check each declaration: its template, parameters, axes and version."""
    messages: list[CheckMessage] = []
    if not has_usable_settings():
        return messages  # check_settings has said what is wrong for each of them
    messages += _unwarmed_languages()
    for fragment in registry.all_fragments():
        try:
            _ = fragment.is_remote or fragment.parameters, fragment.axes, digest_of(fragment)
            _compile_version(fragment)
        except TemplateDoesNotExist as error:
            messages.append(
                Error(
                    f"{fragment.name}: the template {error} does not exist.",
                    hint="Correct the declaration, or add the template.",
                    id="fragcache.E008",
                )
            )
        except (FragcacheError, FieldError, TemplateSyntaxError) as error:
            text = str(error).removeprefix(f"{fragment.name}: ")
            messages.append(Error(f"{fragment.name}: {text}", id="fragcache.E009"))
        except DatabaseError:
            pass  # items() reads at once, and migrate, which checks as well, has not run yet
        except Exception as error:  # noqa: BLE001 - items() is the site's own
            messages.append(
                CheckWarning(
                    f"{fragment.name}: {type(error).__name__}: {error}",
                    hint="Its items() is called for its model, and raises.",
                    id="fragcache.W003",
                )
            )
    return messages


def _compile_version(fragment: Fragment) -> None:
    """Let Django find a path that is none.

    Raises:
        FieldError: with the fields that there are.
    """
    queryset = rows(fragment)
    if queryset is not None and fragment.version_paths:
        str(queryset.values_list("pk", *fragment.version_paths).query)


def _unwarmed_languages() -> list[CheckMessage]:
    has_locale = any(path.endswith(".LocaleMiddleware") for path in settings.MIDDLEWARE)
    if not has_locale or settings.is_overridden("LANGUAGES"):  # type: ignore[misc]
        return []
    affected = [f.name for f in registry.all_fragments() if axes.Language.name in f.axes]
    if not affected:
        return []
    return [
        CheckWarning(
            f"LocaleMiddleware gives visitors any of Django's {len(settings.LANGUAGES)} languages, "
            f"but {', '.join(affected)} will be warmed in {settings.LANGUAGE_CODE} alone.",
            hint="Set LANGUAGES to those of the site, or refuse the axis: vary_on=['-language'].",
            id="fragcache.W004",
        )
    ]
