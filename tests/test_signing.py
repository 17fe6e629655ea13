"""Keys of Ed25519: what a source signs a target verifies, and cannot forge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks

from fragcache import (
    CacheUnavailable,
    ExtraMissing,
    Fragment,
    ReadOnly,
    fetch_context,
    fragment,
    get_fragment,
    publish_context,
    publish_set,
    rollback_set,
)
from fragcache.contexts.credentials import BEARER, Verdict, signed, signing_keys, verdict
from fragcache.entry import Entry, Kind, Ring, Unsealed
from fragcache.exceptions import WrongKey
from fragcache.signing import PUBLIC, new_keys
from fragcache.store import store
from tests.fixtures import any_cache, elsewhere, on_target, warm

# Of the tests alone; fixed, since they are parts of the tests' names.
PRIVATE_KEY = "ed25519-private:B7tTQb2uc95v2rjWM4vuklJ3Szva3lUNY9jyH4pReGU="
PUBLIC_KEY = "ed25519-public:qe0uhGPV1v2Uf5wnaYU0W6D6KUouz10+aUJEmL8g0ps="
OTHER_PRIVATE, OTHER_PUBLIC = new_keys()
ENTRY = Entry(Kind.HTML, b"<b>html</b>", as_of=1, built_at=2)
SEALED = Ring([PRIVATE_KEY]).seal("key", ENTRY)


class TestSeals:
    @pytest.mark.parametrize("key", [PRIVATE_KEY, PUBLIC_KEY], ids=["private", "public"])
    def test_what_is_signed_is_believed_by_both_halves(self, key: str) -> None:
        ring = Ring([key])
        for _time in range(2):
            assert ring.open("key", SEALED) == ENTRY

    @pytest.mark.parametrize("position", range(0, len(SEALED), 5))
    def test_no_altered_byte_is_believed(self, position: int) -> None:
        ring = Ring([PUBLIC_KEY])
        assert ring.open("key", SEALED) == ENTRY
        altered = bytearray(SEALED)
        altered[position] ^= 1
        assert isinstance(ring.open("key", bytes(altered)), Unsealed)

    @pytest.mark.parametrize("length", [0, 10, 69, 100, len(SEALED) - 1])
    def test_what_was_cut_is_not_believed(self, length: int) -> None:
        assert isinstance(Ring([PUBLIC_KEY]).open("key", SEALED[:length]), Unsealed)

    def test_under_another_key_of_the_cache_it_is_not_believed(self) -> None:
        ring = Ring([PUBLIC_KEY])
        assert ring.open("key", SEALED) == ENTRY
        assert ring.open("yek", SEALED) is Unsealed.FORGED

    def test_the_seal_of_another_pair_is_unknown(self) -> None:
        assert Ring([OTHER_PUBLIC]).open("key", SEALED) is Unsealed.UNKNOWN_KEY
        assert Ring(["a shared text"]).open("key", SEALED) is Unsealed.UNKNOWN_KEY

    def test_a_public_key_seals_nothing(self) -> None:
        for others in ([], ["a shared text"], [PRIVATE_KEY]):
            ring = Ring([PUBLIC_KEY, *others])
            assert not ring.can_seal
            with pytest.raises(ReadOnly, match="is a public key, which can seal nothing"):
                ring.seal("key", ENTRY)

    def test_a_text_that_has_the_public_key_seals_for_nobody_else(self) -> None:
        """Whoever knows the public key cannot use it as if it were a shared text."""
        as_text = PUBLIC_KEY.removeprefix(PUBLIC)
        assert Ring([PUBLIC_KEY]).open("key", Ring([as_text]).seal("key", ENTRY)) is (
            Unsealed.UNKNOWN_KEY
        )

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            (["a text"], ["a text"]),
            ([PRIVATE_KEY, "a text"], [PUBLIC_KEY, "a text"]),
            ([OTHER_PRIVATE, PRIVATE_KEY], [OTHER_PUBLIC, PUBLIC_KEY]),
            ([OTHER_PRIVATE, PUBLIC_KEY], [PUBLIC_KEY, OTHER_PUBLIC]),
        ],
    )
    def test_rotation_is_that_of_a_list(self, source: list[str], target: list[str]) -> None:
        sealing, verifying = Ring(source), Ring(target)
        assert verifying.open("key", sealing.seal("key", ENTRY)) == ENTRY
        former = Ring([source[-1]])
        if former.can_seal:
            assert verifying.open("key", former.seal("key", ENTRY)) == ENTRY
        assert sealing.seals_like(sealing.seal("key", ENTRY))

    @pytest.mark.parametrize(
        "rest", ["", "x", "AAAA", "ä" * 43, PUBLIC_KEY], ids=["none", "x", "short", "ä", "twice"]
    )
    @pytest.mark.parametrize("kind", ["ed25519-private:", "ed25519-public:"])
    def test_what_is_no_key_is_an_error_that_does_not_tell_it(self, kind: str, rest: str) -> None:
        with pytest.raises(WrongKey, match="is not 32 bytes in base64") as raised:
            Ring([kind + rest])
        assert not rest or rest not in str(raised.value)

    @pytest.mark.parametrize(
        "text",
        [
            f" {PUBLIC_KEY}",
            f"\n{PUBLIC_KEY}",
            PUBLIC_KEY.upper(),
            PUBLIC_KEY.replace("-", "_"),
            PUBLIC_KEY.replace(":", "="),
            PRIVATE_KEY.replace("ed25519-private", "ed25519"),
        ],
        ids=["blank", "line", "capitals", "underscore", "equals", "kind"],
    )
    def test_one_that_is_misspelled_is_no_shared_text(self, text: str) -> None:
        """Or else whoever knows the public key could seal with it."""
        with pytest.raises(WrongKey, match="begins with neither 'ed25519-private:' nor") as raised:
            Ring([text])
        assert text.strip()[-20:] not in str(raised.value)

    def test_requests_are_not_signed_with_what_is_public(self, settings: Any) -> None:
        settings.FRAGCACHE = {"SECRET_KEYS": [PUBLIC_KEY, PRIVATE_KEY, "a text"]}
        assert signing_keys() == ["a text"]
        settings.FRAGCACHE = {"API_KEYS": [PUBLIC_KEY]}
        assert signing_keys() == []
        assert verdict(f"{BEARER} {PUBLIC_KEY}", "POST", "/", b"") is Verdict.UNKNOWN
        header = signed(PUBLIC_KEY, "POST", "/", b"")
        assert verdict(header, "POST", "/", b"") is Verdict.UNKNOWN


@pytest.fixture
def source(cache_alias: str, settings: Any, templates: Any) -> Fragment:
    """A source that signs."""
    settings.FRAGCACHE = {**settings.FRAGCACHE, "SECRET_KEYS": [PRIVATE_KEY]}
    templates({"title.html": "<h1>title</h1>"})
    fragment(name="press.front", publish="context")(lambda: {"n": 1})
    return fragment("title.html", name="press.title")(lambda: {"n": 1})


class TestSites:
    def test_a_target_shows_what_the_source_has_signed(self, source: Fragment) -> None:
        warm(source)
        publish_context("press.front")
        keys = {"SECRET_KEYS": [PUBLIC_KEY]}
        for read_only in (True, False):
            with (
                on_target("press.title", "press.front", READ_ONLY=read_only, **keys),
                elsewhere(),
            ):
                assert get_fragment("press.title") == "<h1>title</h1>"
                assert fetch_context("press.front") == {"n": 1}
                assert not store().is_writable

    @any_cache
    def test_a_target_forges_nothing(self, source: Fragment, settings: Any) -> None:
        warm(source)
        settings.FRAGCACHE = {**settings.FRAGCACHE, "SECRET_KEYS": [PUBLIC_KEY]}
        said = "is a public key, which can seal nothing"
        with pytest.raises(ReadOnly, match=said):
            publish_context("press.front")
        with pytest.raises(ReadOnly, match=said):
            rollback_set("press.set")
        with pytest.raises(ReadOnly, match=said), publish_set("press.set"):
            """Publish nothing."""
        with pytest.raises((ReadOnly, CacheUnavailable)):
            store().write_many({"fc1:key": ENTRY}, 60)


class TestChecks:
    def found(self, **given: Any) -> list[str | None]:
        from fragcache.checks.keys import wrong_keys

        return [message.id for message in wrong_keys(given)]

    def test_what_a_site_needs(self) -> None:
        assert self.found(SECRET_KEYS=[PUBLIC_KEY]) == ["fragcache.E014"]
        assert self.found(SECRET_KEYS=[PUBLIC_KEY], READ_ONLY=True) == []
        assert self.found(SECRET_KEYS=[PRIVATE_KEY]) == []
        assert self.found(SECRET_KEYS=[PUBLIC_KEY, "text"], READ_ONLY=True) == ["fragcache.W016"]
        assert self.found(SECRET_KEYS=["ed25519-public:x"]) == ["fragcache.E004"]
        assert self.found(SECRET_KEYS=["Ed25519-public:x"]) == ["fragcache.E004"]
        assert self.found(API_KEYS=[PUBLIC_KEY]) == ["fragcache.E004"]

    @pytest.mark.usefixtures("source")  # with a fragment, its cache is looked at too
    def test_is_among_the_checks(self, settings: Any) -> None:
        settings.FRAGCACHE = {"SECRET_KEYS": [PUBLIC_KEY]}
        assert "fragcache.E014" in [message.id for message in run_checks()]
        settings.FRAGCACHE = {"SECRET_KEYS": ["ed25519-private:no"]}
        messages = [message for message in run_checks() if message.id == "fragcache.E004"]
        assert len(messages) == 1
        assert "new_keys()" in messages[0].msg


def test_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'fragcache\[signing\]'"):
        Ring([PUBLIC_KEY])


def test_sites_without_such_keys_load_no_library() -> None:
    program = (
        "import json, sys; from fragcache.entry import Ring; Ring(['a text']);"
        "print(json.dumps([name for name in sys.modules if 'cryptography' in name]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ}
    )
    assert json.loads(done.stdout) == []
