"""Credentials leave no trace in text from elsewhere."""

import base64
import html
import json
import re
import sys
import time
from collections import deque
from threading import Thread
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.text import one_line
from tests.support.encoders import BASE64_ENCODERS, ENCODERS, Encoder, in_base64

TOKEN = "Tk-4f/9+Qz=7_x&B<y>\"'w;🚀p%41~日"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256","typ":"JWT"}', json.dumps({"sub": "x" * 1000}).encode(), bytes(range(256)))
)

ORDINARY = (
    "",
    "Workspace 5e5c9a60-7127-4bec-b108-004f374f0b77 was not found.",
    "https://app.matatika.com/api/jobs/7127b1d3-a114-4bec-b108-004f374f0b77/logs?sequence=0",
    '{"status": 403, "error": "Forbidden", "path": "/api/workspaces/5e5c9a60/deployments"}',
    "100 % of 20 %20 rows &amp; 3 <b>tables</b> C:\\users\\new \\u00e9t\\u00e9 \\",
    "1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5 is the commit, 2023-03-23T21:48:40.816543 the time.",
    "日本語 \ud800 🚀 \x1b[31mred\x1b[0m",
)

secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)
encodings = st.sampled_from([*ENCODERS.values()])
encodings_in_base64 = st.sampled_from([*BASE64_ENCODERS.values()])
surroundings = st.text(max_size=20) | st.sampled_from(ORDINARY)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_secret_is_replaced_in_every_encoding(name: str) -> None:
    for secret in (TOKEN, JWT):
        encoded = ENCODERS[name](secret)
        redactor = Redactor([secret])
        cleaned = redactor.clean(f"refused: token <{encoded}> is bad")
        expected = "access_token=***" if name == "query" else "***"
        # Quotes, which enclose an encoded text, may stay.
        assert cleaned.replace('\\"', "").replace('"', "") == f"refused: token <{expected}> is bad"
        assert redactor.holds(encoded)


@pytest.mark.parametrize("around", ["plain", "percent", "HTML, hex", "JSON, \\/", "upper case"])
@pytest.mark.parametrize("name", BASE64_ENCODERS)
def test_a_secret_in_base64_is_replaced(name: str, around: str) -> None:
    encode = ENCODERS[around]
    for secret in (TOKEN, JWT):
        before, after = Redactor([secret]).clean(encode(BASE64_ENCODERS[name](secret))).split("***")
        # What is left is what stands beside the secret, and the letters that the secret shares with it.
        assert len(before) <= len(encode(in_base64("Authorization: Bearer ")))
        assert len(after) <= len(encode("base==\n"))


def test_colours_and_characters_that_are_not_seen_where_text_is_shown_part_no_secret() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if chr(code) != "|"]
    shown = one_line("|".join(every), 3 * len(every)).split("|")
    dropped = [character for character, left in zip(every, shown, strict=True) if not left.strip() and character != " "]
    assert len(dropped) > 4000
    redactor = Redactor([TOKEN])
    assert redactor.clean("\x1b[1;31m".join(TOKEN)) == "***"
    size = len(TOKEN) - 1
    for start in range(0, len(dropped), size):
        parts = [*dropped[start : start + size], *size * [""]][:size]
        text = "".join(letter + part for letter, part in zip(TOKEN, [*parts, ""], strict=True))
        assert redactor.clean(f"<{text}>") == "<***>"


@settings(max_examples=50)
@given(secrets, st.lists(encodings, min_size=1, max_size=3), surroundings, surroundings)
def test_no_chain_of_encodings_hides_a_secret(secret: str, chain: list[Encoder], before: str, after: str) -> None:
    encoded = secret
    for encode in chain:
        encoded = encode(encoded)
    redactor = Redactor([secret])
    cleaned = redactor.clean(f"{before} {encoded} {after}")
    assert "***" in cleaned
    assert encoded not in cleaned
    assert not redactor.holds(cleaned.replace("***", "  "))


@given(secrets, encodings, encodings_in_base64, st.integers(12, 60))
@example("abcdef\\<ghijk", html.escape, in_base64, 12)
def test_a_beginning_is_replaced(secret: str, encode: Encoder, encode_in_base64: Encoder, size: int) -> None:
    """One of twelve characters, or of sixteen in base64."""
    redactor = Redactor([secret])
    # A blank, which no secret holds, ends the beginning.
    cleaned = redactor.clean(f"{encode(secret[:size])} is cut").removesuffix(" is cut")
    assert "***" in cleaned
    assert not any(secret[at : at + 12] in cleaned for at in range(len(secret) - 11))
    assert redactor.holds(encode_in_base64(secret[: max(size, 16)]))


@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=0x21), min_size=12), st.text())
def test_text_without_the_secret_stays_as_it_is(secret: str, text: str) -> None:
    redactor = Redactor([secret])
    assume(not redactor.holds(text))
    assert redactor.clean(text) == text


def test_ordinary_text_holds_no_secret_and_stays_as_it_is() -> None:
    redactor = Redactor([TOKEN, JWT, "0d9f3c6b-6f53-4a3b-9a8e-0f6d0c3b2a10", "jV7xq0KpZ2s9LmTe4RwYbA1uHc8NfGd3"])
    assert [text for text in ORDINARY if redactor.holds(text) or redactor.clean(text) != text] == []
    text = f"é%20&amp;\\u0041 {quote(TOKEN)} 日本語%41 {html.escape(TOKEN)}\nnext"
    assert redactor.clean(text) == "é%20&amp;\\u0041 *** 日本語%41 ***\nnext"


@settings(max_examples=50)
@given(st.text("ab", min_size=12, max_size=20), st.lists(st.text("ab", max_size=40), max_size=3))
def test_every_beginning_is_found_in_text_that_is_much_like_the_secret(secret: str, parts: list[str]) -> None:
    text = secret[:13].join(parts)
    hidden = [False] * len(text)
    for start in range(len(text)):
        size = next((size for size in range(len(secret), 11, -1) if text.startswith(secret[:size], start)), 0)
        hidden[start : start + size] = [True] * size
    expected = "".join("*" if is_hidden else letter for letter, is_hidden in zip(text, hidden, strict=True))
    assert Redactor([secret]).clean(text) == re.sub(r"\*+", "***", expected)


SHORT = "k7Q-z9.Xw_2"


def test_secrets_that_are_short_or_overlap_are_all_replaced() -> None:
    for known, text, cleaned in (
        # One of less than twelve characters must be there whole, and one of less than four blots out nothing.
        *(
            ([SHORT[:n]], f"{SHORT[:n]} {SHORT[:n].upper()} {SHORT[: n - 1]}", f"*** *** {SHORT[: n - 1]}")
            for n in (11, 4)
        ),
        (["", "api"], "an api answers", "an api answers"),
        ([TOKEN, JWT], f"{TOKEN[:11]}! {JWT[:11]}!", f"{TOKEN[:11]}! {JWT[:11]}!"),
        # Of two that begin alike, the longer one is replaced whole, in either order; one may stand in another.
        (["abcdefghijkl", "abcdefghijkl-more"], "<abcdefghijkl-more> <abcdefghijkl>", "<***> <***>"),
        (["abcdefghijkl-more", "abcdefghijkl"], "<abcdefghijkl-more> <abcdefghijkl>", "<***> <***>"),
        (["abcdefghijklmnop", "efgh"], "<abcdefghijklmnop>", "<***>"),
        # One is cut within a character, one before a whole one; several stand without a gap.
        (["abcdefghijkl日"], "<abcdefghijkl旦>", "<***>"),
        (["abcabcabcabcabcX"], "abcabcabcabcabcabcabcX.", "***."),
        ([TOKEN, JWT], f"{TOKEN}{JWT}{quote(TOKEN)}", "***"),
    ):
        assert Redactor(known).clean(text) == cleaned
        assert Redactor(known).holds(text) == ("***" in cleaned)


def test_a_redactor_may_grow_while_another_thread_uses_it() -> None:
    redactor = Redactor([TOKEN])
    added = [f"added-secret-{number:04}" for number in range(100)]
    assert not redactor.holds(added[0])
    thread = Thread(target=lambda: deque(map(redactor.add, added)))
    thread.start()
    while thread.is_alive():
        assert redactor.clean(f"<{TOKEN}>") == "<***>"
    assert all(redactor.holds(secret) for secret in added)


@pytest.mark.parametrize(
    "part",
    [
        *(f"{ORDINARY[2]} ", "%25", "25", "&amp;", "&", f"&{'b' * 32}", "\\", "\\u{0000", "\\ud83d", f"{JWT[:12]} "),
        # A beginning of `aaa…c` stands at every place of `aaa…`.
        *(f"{JWT} ", quote(quote(JWT)), "a", "ab"),
    ],
    ids=range(14),
)
def test_time_grows_with_the_text_alone(part: str) -> None:
    def spent(size: int) -> float:
        text = "%" * (part == "25") + part * (size // len(part) + 1)
        redactor = Redactor([JWT, "a" * (size // 4) + "c", "ab" * (size // 4) + "c"])
        begin = time.process_time()
        redactor.clean(text)
        return (time.process_time() - begin) / len(text)

    # A time that grew with the square would be 16 times as long for each character.
    small = min(spent(4_096) for _ in range(3))
    assert min(spent(65_536) for _ in range(2)) < 8 * small
