"""Credentials: how a target shows a source that it may ask, and a source believes it.

    Authorization: Fragcache 1795283631:4f0c...  HMAC-SHA256 of method, path, time and body
    Authorization: Bearer ...                    a key of FRAGCACHE["API_KEYS"] itself

A signature is good for ``WINDOW`` seconds. Within them it may be replayed: what is asked for is
published once, whoever asks how often.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final

from fragcache import conf
from fragcache.signing import is_signing

SCHEME: Final = "Fragcache"
BEARER: Final = "Bearer"
#: Seconds by which the clocks of both sites may differ, and a request may be late.
WINDOW: Final = 60
#: So that what is signed here is no signature anywhere else.
_PURPOSE: Final = b"fragcache: asking a source"


class Verdict(Enum):
    """What is thought of a request's credentials."""

    GRANTED = auto()
    #: None, or not by a key of this site.
    UNKNOWN = auto()
    #: By a key of this site, at another time.
    UNTIMELY = auto()


def signing_keys() -> list[str]:
    """Return the keys of requests: the first signs, all of them verify."""
    settings = conf.settings()
    # Django's SECRET_KEY is shared with nobody.
    return _secrets(settings.API_KEYS) or _secrets(settings.SECRET_KEYS)


def signed(key: str, method: str, path: str, body: bytes) -> str:
    """Return the header ``Authorization`` of a request; ``path`` includes the query."""
    moment = str(int(time.time()))
    return f"{SCHEME} {moment}:{_mac(key, method, path, moment, body)}"


def verdict(header: str, method: str, path: str, body: bytes) -> Verdict:
    """Return what is thought of a request by its header ``Authorization``."""
    scheme, _space, given = header.partition(" ")
    if scheme.lower() == BEARER.lower():
        is_known = is_one_of(given, _secrets(conf.settings().API_KEYS))
        return Verdict.GRANTED if is_known else Verdict.UNKNOWN
    moment, _colon, mac = given.partition(":")
    if scheme.lower() != SCHEME.lower() or not (moment.isascii() and moment.isdecimal()):
        return Verdict.UNKNOWN
    if not is_one_of(mac, [_mac(key, method, path, moment, body) for key in signing_keys()]):
        return Verdict.UNKNOWN
    # As text, since it may have more digits than int() takes.
    is_timely = len(moment) < 12 and abs(time.time() - int(moment)) <= WINDOW
    return Verdict.GRANTED if is_timely else Verdict.UNTIMELY


def is_one_of(given: str, known: Sequence[str]) -> bool:
    """Whether a text is among others, in a time that tells nothing of them."""
    digest = hashlib.sha256(given.encode(errors="surrogateescape")).digest()
    is_one = False
    for text in known:
        is_one |= hmac.compare_digest(hashlib.sha256(text.encode()).digest(), digest)
    return is_one


def listed(texts: Any) -> list[str]:
    """Return keys as a list: one text is one key; `manage.py check` says that it is no list."""
    if isinstance(texts, str):
        texts = [texts]
    is_list = isinstance(texts, list | tuple)
    return [text for text in texts if isinstance(text, str) and text] if is_list else []


def _secrets(texts: Any) -> list[str]:
    """Return keys as a list, without those of Ed25519: half of them are public."""
    return [text for text in listed(texts) if not is_signing(text)]


def _mac(key: str, method: str, path: str, moment: str, body: bytes) -> str:
    """Return the signature; the body is hashed, so that no other part can pass for it."""
    own = hmac.digest(key.encode(), _PURPOSE, "sha256")
    parts = [method, path, moment, hashlib.sha256(body).hexdigest()]
    return hmac.new(own, "\n".join(parts).encode(), "sha256").hexdigest()
