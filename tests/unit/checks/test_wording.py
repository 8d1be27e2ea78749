import pytest

from matatika_deploy.checks.wording import closest, did_you_mean, short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a\n::error::b\r\n\tc ", "a ::error::b c"),
        ("a\x1b[31m\x00\u2028\u202e\ud800b", "a [31m b"),
        ("é漢😀", "é漢😀"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "…"),
        ("x" * 10_000_000, "x" * 60 + "…"),
        (" " * 200 + "x", ""),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_text_from_outside_is_brief_and_printable(text: str, expected: str) -> None:
    assert short(text) == expected


def test_a_sentence_ends_with_a_suggestion_that_is_short_and_printable_or_with_a_full_stop() -> None:
    assert did_you_mean("a") == ": did you mean 'a'?"
    assert {did_you_mean(suggestion) for suggestion in (None, "", "x" * 61, "a\nb", "a\u202eb")} == {"."}


@pytest.mark.parametrize(
    ("text", "candidates", "expected"),
    [
        ("laod", ["load", "lead"], "load"),
        ("loads", ["load"], "load"),
        ("analyse", ["analyze", "extract"], "analyze"),
        ("pipelines", ["plugins", "azure-pipelines.yml"], None),
        ("x", [], None),
        ("x" * 61, ["x" * 61], None),
        ("abcdefgh", ["abcdefgx", "abcdefhg"], "abcdefgx"),
    ],
)
def test_the_closest_candidate_differs_by_typing_mistakes_only(
    text: str, candidates: list[str], expected: str | None
) -> None:
    assert closest(text, candidates) == expected


def test_only_the_first_thousand_candidates_are_compared() -> None:
    names = iter(f"name{n}" for n in range(1_000_000))
    assert closest("lost", names) is None
    assert next(names) == "name1000"
