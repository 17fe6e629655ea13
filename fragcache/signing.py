"""Signing: seals by Ed25519 (RFC 8032), which who can verify them cannot make.

    ed25519-private:<32 bytes in base64>    of a source: it signs, and verifies
    ed25519-public:<32 bytes in base64>     of a target: it verifies

What is signed is a BLAKE2b digest, so that a long payload is hashed once. A signature costs thirty
times what a MAC does; of what is read again and again it is verified once.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from fragcache.bounded import Bounded
from fragcache.exceptions import ExtraMissing, WrongKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PRIVATE: Final = "ed25519-private:"
PUBLIC: Final = "ed25519-public:"
#: What begins so, in whatever letters, is meant as one of them.
_FAMILY: Final = "ed25519"
SIGNATURE_BYTES: Final = 64
FINGERPRINT_BYTES: Final = 4
_KEY_BYTES: Final = 32
#: Signatures that are known to be right, of which each takes about 200 bytes.
_REMEMBERED: Final = 20_000


class Signer:
    """One pair of keys, or the public half of it."""

    def __init__(self, text: str) -> None:
        """``text`` is a key as settings have it.

        Raises:
            WrongKey: it is none.
            ExtraMissing: the library is not installed.
        """
        self._private, self._public = _keys_of(text)
        raw = self._public.public_bytes_raw()
        #: Tells by which key a value is sealed.
        self.fingerprint = blake2b(
            raw, digest_size=FINGERPRINT_BYTES, person=b"fragcache.print"
        ).digest()
        self._right: Bounded[bool] = Bounded(_REMEMBERED, lambda _is_right: 1)

    @property
    def can_sign(self) -> bool:
        return self._private is not None

    def sign(self, key: str, head: bytes, payload: bytes) -> bytes:
        """Return the signature of a value under a key of the cache."""
        assert self._private is not None
        return self._private.sign(_digest(key, head, payload))

    def verifies(self, signature: bytes, key: str, head: bytes, payload: bytes) -> bool:
        """Whether a value was signed so, for this key of the cache."""
        from cryptography.exceptions import InvalidSignature

        digest = _digest(key, head, payload)
        signed = digest + signature
        if self._right.get_many([signed])[0]:
            return True
        try:
            self._public.verify(signature, digest)
        except InvalidSignature:
            return False
        self._right.keep({signed: True})
        return True


def is_signing(text: str) -> bool:
    """Whether a text is meant as a key of Ed25519, and is no secret that is shared.

    One that is misspelled is as well: as a secret it would seal, and half of it is public.
    """
    return text.strip().lower().startswith(_FAMILY)


def new_keys() -> tuple[str, str]:
    """Return a new private key, and the public one that belongs to it, as settings have them.

    Raises:
        ExtraMissing: the library is not installed.
    """
    require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    return PRIVATE + _text(private.private_bytes_raw()), PUBLIC + _text(public.public_bytes_raw())


def require() -> None:
    """See that the library is installed.

    Raises:
        ExtraMissing: it is not.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as error:
        raise ExtraMissing(
            "Keys of Ed25519 need cryptography, which is not installed: "
            "pip install 'fragcache[signing]'."
        ) from error


def _keys_of(text: str) -> tuple[Ed25519PrivateKey | None, Ed25519PublicKey]:
    require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    prefix = next((one for one in (PRIVATE, PUBLIC) if text.startswith(one)), None)
    if prefix is None:  # the value may be secret, here and below
        raise WrongKey(
            f"A key of FRAGCACHE['SECRET_KEYS'] is like one of Ed25519, and begins with neither "
            f"'{PRIVATE}' nor '{PUBLIC}': write it as fragcache.signing.new_keys() gave it."
        )
    try:
        raw = base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise WrongKey(
            f"A key of FRAGCACHE['SECRET_KEYS'] begins with '{prefix}', and what follows is not "
            f"{_KEY_BYTES} bytes in base64: make a pair with fragcache.signing.new_keys()."
        )
    if prefix == PRIVATE:
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return private, private.public_key()
    return None, Ed25519PublicKey.from_public_bytes(raw)


def _digest(key: str, head: bytes, payload: bytes) -> bytes:
    name = key.encode()
    digest = blake2b(len(name).to_bytes(2) + name + head, person=b"fragcache.signed")
    digest.update(payload)
    return digest.digest()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
