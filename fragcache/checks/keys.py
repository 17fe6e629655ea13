"""Checks of keys of Ed25519, which belong into ``FRAGCACHE["SECRET_KEYS"]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from fragcache.exceptions import ExtraMissing, WrongKey
from fragcache.signing import PUBLIC, Signer, is_signing


def wrong_keys(given: dict[str, Any]) -> Iterator[CheckMessage]:
    """Yield what is wrong with keys that sign, of settings as they are given."""
    if any(map(is_signing, _texts(given.get("API_KEYS")))):
        yield Error(
            "FRAGCACHE['API_KEYS'] has a key of Ed25519, with which no requests are signed.",
            hint="Write long random texts: a public key is no secret.",
            id="fragcache.E004",
        )
    texts = _texts(given.get("SECRET_KEYS"))
    for text in filter(is_signing, texts):
        try:
            Signer(text)
        except (WrongKey, ExtraMissing) as error:
            yield Error(str(error), id="fragcache.E004")
            return
    if not texts or not texts[0].startswith(PUBLIC):
        return
    if given.get("READ_ONLY") is not True:
        yield Error(
            "The first of FRAGCACHE['SECRET_KEYS'] is a public key, which can seal nothing, and "
            "this site is to store what it renders.",
            hint="Set FRAGCACHE['READ_ONLY'] = True, or let this site seal by another key.",
            id="fragcache.E014",
        )
    if not all(text.startswith(PUBLIC) for text in texts):
        yield CheckWarning(
            "FRAGCACHE['SECRET_KEYS'] begins with a public key, and has others that can seal.",
            hint="Whoever breaks into this site can forge with them: leave them out, but for the "
            "time of a rotation.",
            id="fragcache.W016",
        )


def _texts(listed: object) -> list[str]:
    if not isinstance(listed, list | tuple):
        return []
    return [text for text in listed if isinstance(text, str)]
