import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import document
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.document import Document, List, Map, Node, Scalar


def read(text: str | bytes) -> Document:
    return document.read(text.encode() if isinstance(text, str) else text, Budget())


def root_of(text: str | bytes) -> Map:
    found = read(text)
    assert found.problem is None
    assert isinstance(found.root, Map)
    return found.root


def text_of(node: Node | None) -> str:
    assert isinstance(node, Scalar)
    return node.text


@pytest.fixture(params=["libyaml", "pure Python"], autouse=True)
def _each_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "libyaml":
        assert yaml.__with_libyaml__, "these tests are to run with libyaml, as the image does"
    else:
        monkeypatch.setattr(document, "_Parser", yaml.SafeLoader)


def test_values_have_their_places_whatever_ends_the_lines() -> None:
    text = "# comment\nname: 'x'\nlist:\n  - a\n  - {b: 1}\n"
    for data in (text.encode(), text.replace("\n", "\r\n").encode("utf-8-sig")):
        root = root_of(data)
        assert [(key.text, key.line, key.column) for key, _ in root.entries()] == [("name", 2, 1), ("list", 3, 1)]
        name, listed = root.get("name"), root.get("list")
        assert isinstance(name, Scalar)
        assert (name.text, name.plain, name.line, name.column) == ("x", False, 2, 7)
        assert isinstance(listed, List)
        assert [(node.line, node.column) for node in listed.children] == [(4, 5), (5, 5)]
        assert isinstance(listed.children[0], Scalar)
        assert listed.children[0].plain


def test_an_empty_document_is_null_but_no_quoted_or_tagged_value() -> None:
    nulls = ("", "# nothing\n", "---\n", "~", "null\n", "---\n...\n", "\ufeff")
    for text in (*nulls, "'~'", "!!null x", "''", "!x", "0"):
        found = read(text)
        assert found.problem is None
        assert (found.root is None or (isinstance(found.root, Scalar) and found.root.is_null)) is (text in nulls)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Own keys come before merged keys, the last of repeated ones counts, and the first of several merged maps.
        ("base: &base {a: base, b: base}\nhere:\n  <<: *base\n  a: first\n  a: here\n", ["here", "base", None]),
        ("x: &x {a: x, <<: {b: x}}\ny: &y {a: y, b: y, c: y}\nhere: {<<: [*x, *y]}\n", ["x", "x", "y"]),
        ("x: &x {a: x, <<: {b: x}}\ny: &y {a: y, b: y, c: y}\nhere: {<<: *x, <<: *y}\n", ["x", "x", "y"]),
        ("here: &a\n  <<: [*a, *a, *a]\n  b: 1\n", [None, "1", None]),
    ],
)
def test_a_key_has_one_value_in_merged_maps(text: str, expected: list[str | None]) -> None:
    here = root_of(text).get("here")
    assert isinstance(here, Map)
    assert [node and text_of(node) for node in map(here.get, "abc")] == expected


def test_keys_that_every_reader_takes_for_repeated_are_found_at_any_depth() -> None:
    found = read("a: 1\nb: 2\n'a': 1\na: 3\nx:\n  y:\n  - {z: 1, z: 2}\n? c\n: 1\n? c\n: 2\n1: a\n1: b\n'': a\n'': b\n")
    assert found.problem is None
    keys = [(key.text, key.line, first) for key, first in found.repeated]
    assert keys == [("z", 7, 7), ("a", 3, 1), ("a", 4, 1), ("c", 10, 8), ("1", 13, 12), ("", 15, 14)]


def test_keys_that_some_readers_keep_apart_are_not_repeated() -> None:
    merged = "a: &x {b: 1}\nc: {<<: *x, b: 1, <<: {b: 2}}\n"
    found = read(f"{merged}1: a\n'1': b\nyes: a\n'yes': b\n~: a\n'~': b\nA: 1\n!x a: 2\n? [a]\n: 1\n? [a]\n: 2\n")
    assert found.problem is None
    assert [key.text for key, _ in found.repeated] == []


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: b\nc: d: e\n", 2, 5, "quotes"),
        ("a: b\n\tc: d\n", 2, 1, "spaces instead of tabs"),
        ("query: |\n\tSELECT 1\n", 2, 1, "spaces instead of tabs"),
        ("a: 1\nb: @daily\n", 2, 4, "'@' must stand in quotes"),
        ("a: 1\nschedule: -\n", 2, 11, "'-' on its own must stand in quotes"),
        ("schedule: */5 * * * * *\n", 1, 11, "'*' must stand in quotes"),
        ("{% if x %}\na: 1\n{% endif %}\n", 1, 2, "'%' must stand in quotes"),
        ("a: *hunter2\n", 1, 4, "undefined alias"),
        ("a: 1\nb: 'x\nc: 2\n", 2, 4, "quoted scalar"),
        ("a: 1\nb: [1, 2\n", 2, 4, "flow sequence"),
        ("a: 1\n- b\n", 2, 1, "expected"),
        ("a: 1\nb\nc: 2\n", 2, 1, "a ':' may be missing"),
        ("a: 1\nb: \x00\n", 2, 4, "control character U+0000"),
        ('a: "\\d"\n', 1, 5, "escape"),
        (b"a: 1\nb: caf\xe9\n", 2, 7, "not UTF-8: byte 0xE9"),
        ("é: ".encode() + b"\xff", 1, 4, "not UTF-8: byte 0xFF"),
        ("a: 1\n".encode("utf-16"), 1, 1, "not UTF-8: it looks like UTF-16"),
        # Some readers accept these.
        ("a: b\n\t\nc: d\n", 2, None, ""),
        ("a: |\n  x\n\t\nb: c\n", 3, None, ""),
        ("a:\n\t# comment\n  b: c\n", 2, None, ""),
        ("a: &x.y b\n", 1, None, ""),
        ("a: *important*\n", 1, None, ""),
        ("...\n", 1, None, ""),
        ("a: b\n---\nc: [\n", 3, None, "first document"),
        ("a: b\n---\nc: *nobody\n", 3, None, "first document"),
        ("".join(f"%TAG !a{n}! b\n" for n in range(1000)) + "--- x\n", 1, None, "Not checked"),
    ],
)
def test_a_problem_has_its_place_and_is_certain_if_no_reader_accepts_the_text(
    text: str | bytes, line: int, column: int | None, words: str
) -> None:
    problem = read(text).problem
    assert problem is not None
    assert problem.certain is (column is not None)
    assert words in problem.message
    assert "hunter2" not in problem.message  # An alias can be a password without its quotes.
    assert problem.line == line
    # The two parsers mark different ends of some mistakes.
    assert column is None or problem.column == pytest.approx(column, abs=2)


@pytest.mark.parametrize(
    "text", ["a: {b:}\n", "%YAML 1.3\n---\na: b\n", "%FOO\n---\na: b\n", "a: !x,y b\n", "a: b\n\ufeffc: d\n"]
)
def test_a_mistake_that_only_libyaml_refuses_is_no_certain_problem(text: str) -> None:
    problem = read(text).problem
    assert problem is None or not problem.certain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: |\n  \tx\n  y\n", "\tx\ny\n"),
        ("a: >-  # why\n\n   \tx\n", "\n\tx"),
        ('a: "\\ud83d\\ude00"\n', "\ufffd\ufffd"),
        ('a: "\\uD83D"\n', "\ufffd"),
    ],
)
def test_text_that_only_libyaml_refuses_is_read(text: str, value: str) -> None:
    found = text_of(root_of(text).get("a"))
    assert found in (value, value.replace("\ufffd\ufffd", "\ud83d\ude00"), value.replace("\ufffd", "\ud83d"))


def test_too_many_values_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 100)
    problem = read("- a\n" * 101).problem
    assert problem is not None
    assert not problem.certain


def test_reading_ends_when_the_budget_is_spent() -> None:
    times = iter([0.0, 1.0, 9.0])
    assert document.read(b"- a\n" * 10_000, Budget(8, lambda: next(times))).may_be_readable


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-?[]{}&*!|>'\"%@#~<. \t\n\r\\\ufeff\x00é", max_size=60))
def test_a_document_has_a_problem_exactly_where_the_parser_has_one(content: bytes | str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    problem = read(data).problem
    refusal = _refusal(data)
    if isinstance(refusal, yaml.MarkedYAMLError) and document._LenientParser.may_accept(refusal):
        return  # a second, more lenient parser decides
    assert (problem is None) is (refusal is None)
    if problem:
        assert 1 <= problem.line <= data.count(b"\n") + data.count(b"\r") + 1
        assert 1 <= problem.column <= len(data) + 1


def _refusal(data: bytes) -> Exception | None:
    try:
        data.decode()
        for _ in yaml.compose_all(data, document._Parser):
            pass
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # An anchor may be given anew; that PyYAML refuses it is its own affair.
        return None if "duplicate anchor" in str(error) else error
    return None
