"""Text from elsewhere becomes one line without commands; durations are written for people."""

import re

from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.text import format_duration, one_line


def test_text_becomes_one_line_without_commands() -> None:
    for text, expected in (
        ("  Just words: 100 % of them, ünïcode 日本語 🎉  ", "Just words: 100 % of them, ünïcode 日本語 🎉"),
        ("two\r\n\r\nlines\n tab\tand\x0bfeed\x0c", "two lines  tab and feed"),
        ("nul\x00 bell\x07 escape\x1b[31m", "nul  bell  escape [31m"),
        ("c1\x85 line\u2028 paragraph\u2029", "c1  line  paragraph"),
        ("half\ud800 of a character", "half  of a character"),
        ("in the ##[error]middle", "in the ## [error]middle"),
        ("####[error]no", "#### [error]no"),
        ("\n::error::no", "::error::no"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 299 + "…"),
        ("x" + " " * 5000 + "y", "x…"),
    ):
        assert one_line(text) == expected


def test_hidden_characters_are_dropped() -> None:
    ranges = "\u180b\u180f\u200b\u200f\u202a\u202e\u2060\u206f\ufff0\ufffb\U000e0000\U000e0fff"
    for character in "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u3164\ufeff\uffa0" + ranges:
        assert one_line(f"a{character}b#{character}#{character}[error]") == "ab## [error]", ascii(character)


@given(st.text() | st.text(alphabet="#[]:\n\r x\u2028\u200b"), st.integers(2, 50))
def test_any_text_becomes_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    # A blank goes into every `##[`.
    assert len(line) <= limit + line.count("## [")
    assert "##[" not in line
    assert line.splitlines() in ([], [line])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


def test_durations_are_written_for_people() -> None:
    written = {0.4: "0 s", 42: "42 s", 59.6: "1 min", 185: "3 min 5 s", 3599.4: "59 min 59 s", 3600: "1 h"}
    written |= {5401: "1 h 30 min", 86400: "24 h"}
    assert {seconds: format_duration(seconds) for seconds in written} == written
