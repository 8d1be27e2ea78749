import pytest

from matatika_deploy.checks.wording import did_you_mean, short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipelines/a b.yml", "pipelines/a b.yml"),
        (" a\n::error::b\r\n\tc ", "a ::error::b c"),
        ("a\x1b[31m\x00\u2028\u202e\ud800b", "a [31m b"),
        ("é漢😀", "é漢😀"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "…"),
        ("x" * 10_000_000, "x" * 60 + "…"),
        (" " * 200 + "x", ""),
    ],
)
def test_text_from_outside_is_brief_and_printable(text: str, expected: str) -> None:
    assert short(text) == expected


def test_a_suggestion_ends_the_sentence() -> None:
    assert did_you_mean("a") == ": did you mean 'a'?"


@pytest.mark.parametrize("suggestion", [None, "", "x" * 61, "a\nb", "a\u202eb"])
def test_without_one_that_can_be_shown_a_full_stop_does(suggestion: str | None) -> None:
    assert did_you_mean(suggestion) == "."
