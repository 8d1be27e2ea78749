"""Text from elsewhere becomes one line without commands; durations are written for people."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.text import format_duration, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Just words: 100 % of them.", "Just words: 100 % of them."),
        ("  around  ", "around"),
        ("two\nlines", "two lines"),
        ("two\r\n\r\nlines", "two lines"),
        ("tab\tand\x0bfeed\x0c", "tab and feed"),
        ("nul\x00 bell\x07 escape\x1b[31m", "nul  bell  escape [31m"),
        ("c1\x85 line\u2028 paragraph\u2029", "c1  line  paragraph"),
        ("half\ud800 of a character", "half  of a character"),
        ("ünïcode 日本語 🎉", "ünïcode 日本語 🎉"),
        ("##[error]no", "## [error]no"),
        ("in the ##[error]middle", "in the ## [error]middle"),
        ("####[error]no", "#### [error]no"),
        ("\n::error::no", "::error::no"),
    ],
)
def test_text_becomes_one_line_without_commands(text: str, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(
    "character",
    "\xad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064\u2066\u2069\u3164\ufeff\U000e0041",
    ids=ascii,
)
def test_hidden_characters_are_dropped(character: str) -> None:
    assert one_line(f"a{character}b") == "ab"
    assert one_line(f"#{character}#{character}[error]x") == "## [error]x"


def test_long_text_is_cut() -> None:
    assert one_line("x" * 300) == "x" * 300
    assert one_line("x" * 301) == "x" * 299 + "…"
    assert one_line("x" * 50, limit=10) == "x" * 9 + "…"
    assert one_line("x" + " " * 5000 + "y", limit=10) == "x…"


@given(st.text() | st.text(alphabet="#[]:\n\r x\u2028\u200b"), st.integers(2, 50))
def test_any_text_becomes_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    # A blank goes into every `##[`.
    assert len(line) <= limit + line.count("## [")
    assert "##[" not in line
    assert line.splitlines() in ([], [line])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86400, "24 h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected
