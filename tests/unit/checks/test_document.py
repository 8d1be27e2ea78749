import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import document
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.document import Document, List, Map, Node, Problem, Scalar


def read(text: str | bytes) -> Document:
    return document.read(text.encode() if isinstance(text, str) else text, Budget())


def root_of(text: str | bytes) -> Map:
    found = read(text)
    assert found.problem is None
    assert isinstance(found.root, Map)
    return found.root


def problem_of(text: str | bytes) -> Problem:
    found = read(text)
    assert found.problem is not None
    return found.problem


def text_of(node: Node | None) -> str:
    assert isinstance(node, Scalar)
    return node.text


@pytest.fixture(params=["libyaml", "pure Python"], autouse=True)
def _each_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "libyaml":
        assert yaml.__with_libyaml__, "these tests are to run with libyaml, as the image does"
    else:
        monkeypatch.setattr(document, "_Parser", yaml.SafeLoader)


def test_values_have_their_places() -> None:
    root = root_of("# comment\nname: 'x'\nlist:\n  - a\n  - {b: 1}\n")
    name, listed = root.get("name"), root.get("list")
    assert isinstance(name, Scalar)
    assert (name.text, name.plain, name.line, name.column) == ("x", False, 2, 7)
    assert isinstance(listed, List)
    assert [(node.line, node.column) for node in listed.children] == [(4, 5), (5, 5)]
    assert isinstance(listed.children[0], Scalar)
    assert listed.children[0].plain
    assert isinstance(listed.children[1], Map)


def test_a_byte_order_mark_and_windows_line_ends_move_nothing() -> None:
    root = root_of("a: 1\nb: 2\n".replace("\n", "\r\n").encode("utf-8-sig"))
    assert [(key.text, key.line, key.column) for key, _ in root.entries()] == [("a", 1, 1), ("b", 2, 1)]


@pytest.mark.parametrize(
    ("text", "is_null"),
    [
        *((text, True) for text in ("", "# nothing\n", "---\n", "~", "null\n", "---\n...\n", "\ufeff")),
        *((text, False) for text in ("'~'", "!!null x", "''", "!x", "0")),
    ],
)
def test_an_empty_document_is_null_but_no_quoted_or_tagged_value(text: str, is_null: bool) -> None:
    found = read(text)
    assert found.problem is None
    assert (found.root is None or (isinstance(found.root, Scalar) and found.root.is_null)) is is_null


def test_unknown_tags_are_no_problem() -> None:
    root = root_of("a: !reference [x, y]\nb: !!python/object:os.system {}\nc: !ENV ${X}\nd: !secret\n")
    assert [value.tagged for _, value in root.entries()] == [True, True, True, True]


def test_only_the_first_document_counts() -> None:
    assert root_of("a: 1\n---\nb: 2\nb: 3\n").get("b") is None
    assert read("a: 1\n---\nb: 2\nb: 3\n").repeated == []


def test_own_keys_come_before_merged_keys_and_the_last_of_repeated_ones_counts() -> None:
    here = root_of("base: &base {a: base, b: base}\nhere:\n  <<: *base\n  a: first\n  a: here\n").get("here")
    assert isinstance(here, Map)
    assert [text_of(here.get(name)) for name in "ab"] == ["here", "base"]
    assert here.get("c") is None


@pytest.mark.parametrize("merging", ["{<<: [*x, *y]}", "{<<: *x, <<: *y}"])
def test_the_first_of_several_merged_maps_counts(merging: str) -> None:
    merged = root_of(f"x: &x {{a: x, <<: {{b: x}}}}\ny: &y {{a: y, b: y, c: y}}\nz: {merging}\n").get("z")
    assert isinstance(merged, Map)
    assert [text_of(merged.get(name)) for name in "abc"] == ["x", "x", "y"]


def test_a_map_that_is_merged_into_itself_ends() -> None:
    assert root_of("&a\n<<: [*a, *a, *a]\nb: 1\n").get("c") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", [("a", 3, 1)]),
        ("a: 1\n'a': 2\n", [("a", 2, 1)]),
        ("a: 1\na: 1\na: 1\n", [("a", 2, 1), ("a", 3, 1)]),
        ("x:\n  y:\n    z: 1\n    z: 2\n", [("z", 4, 3)]),
        ("- {a: 1, a: 2}\n", [("a", 1, 1)]),
        ("? a\n: 1\n? a\n: 2\n", [("a", 3, 1)]),
        ("1: a\n1: b\n", [("1", 2, 1)]),
        ("'': a\n'': b\n", [("", 2, 1)]),
        # Some readers keep these apart.
        ("a: {b: 1}\nc: {b: 1}\n", []),
        ("- a: 1\n- a: 2\n", []),
        ("<<: {a: 1}\n<<: {b: 2}\n", []),
        ("x: &x {a: 1}\ny: {<<: *x, a: 2}\n", []),
        ("1: a\n'1': b\n", []),
        ("yes: a\n'yes': b\n", []),
        ("~: a\n'~': b\n", []),
        ("A: 1\na: 2\n", []),
        ("!x a: 1\na: 2\n", []),
        ("? [a]\n: 1\n? [a]\n: 2\n", []),
        ("{{ a }}: 1\n", []),
    ],
)
def test_keys_that_every_reader_takes_for_repeated_are_found_at_any_depth(
    text: str, expected: list[tuple[str, int, int]]
) -> None:
    found = read(text)
    assert found.problem is None
    assert [(key.text, key.line, first) for key, first in found.repeated] == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: b\nc: d: e\n", 2, 5, "quotes"),
        ("a: b\n\tc: d\n", 2, 1, "spaces instead of tabs"),
        ("query: |\n\tSELECT 1\n", 2, 1, "spaces instead of tabs"),
        ("a: 1\nb: @daily\n", 2, 4, "'@' must stand in quotes"),
        ("schedule: * * * * * *\n", 1, 11, "'*' must stand in quotes"),
        ("schedule: */5 * * * * *\n", 1, 11, "'*' must stand in quotes"),
        ("{% if x %}\na: 1\n{% endif %}\n", 1, 2, "'%' must stand in quotes"),
        ("a: *hunter2\n", 1, 4, "undefined alias"),
        ("a: 1\nb: 'x\nc: 2\n", 2, 4, "quoted scalar"),
        ("a: 1\nb: [1, 2\n", 2, 4, "flow sequence"),
        ("a: 1\n- b\n", 2, 1, "expected"),
        ("a: 1\nb\nc: 2\n", 2, 1, "a ':' may be missing"),
        ("a: \x01\n", 1, 4, "control character U+0001"),
        ("a: 1\nb: \x00\n", 2, 4, "control character U+0000"),
        ('a: "\\d"\n', 1, 5, "escape"),
        (b"a: 1\nb: caf\xe9\n", 2, 7, "not UTF-8: byte 0xE9"),
        ("é: ".encode() + b"\xff", 1, 4, "not UTF-8: byte 0xFF"),
        (b"a: \xed\xa0\x80\n", 1, 4, "not UTF-8: byte 0xED"),
        ("a: 1\n".encode("utf-16"), 1, 1, "not UTF-8: it looks like UTF-16"),
    ],
)
def test_what_no_reader_accepts_is_a_certain_problem_with_its_place(
    text: str | bytes, line: int, column: int, words: str
) -> None:
    problem = problem_of(text)
    assert problem.certain
    assert words in problem.message
    assert "hunter2" not in problem.message  # An alias can be a password without its quotes.
    assert problem.line == line
    assert problem.column == pytest.approx(column, abs=2)  # The two parsers mark different ends of some mistakes.
    assert read(text).root is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b\n\t\nc: d\n", 2),
        ("a: |\n  x\n\t\nb: c\n", 3),
        ("a:\n\t# comment\n  b: c\n", 2),
        ("a: &x.y b\n", 1),
        ("a: *x.y\n", 1),
        ("a: *important*\n", 1),
        ("...\n", 1),
        ("a: b\n---\nc: [\n", 3),
        ("a: b\n---\nc: *nobody\n", 3),
        ("".join(f"%TAG !a{n}! b\n" for n in range(1000)) + "--- x\n", 1),
    ],
)
def test_what_some_readers_accept_is_no_certain_problem(text: str, line: int) -> None:
    problem = problem_of(text)
    assert not problem.certain
    assert problem.line == line


@pytest.mark.parametrize(
    "text",
    ["a: {b:}\n", "a: [b:, c:]\n", "%YAML 1.3\n---\na: b\n", "%FOO\n---\na: b\n", "a: !x,y b\n", "a: b\n\ufeffc: d\n"],
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


def test_too_deep_or_too_many_values_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    deepest = "[" * document.MAX_DEPTH + "]" * document.MAX_DEPTH
    assert read(deepest).problem is None
    assert read(f"[{deepest}]").may_be_readable
    monkeypatch.setattr(document, "MAX_NODES", 106)  # 100, and the start and end of list, document and stream
    assert read("- a\n" * 100).problem is None
    assert not problem_of("- a\n" * 101).certain


def test_reading_ends_when_the_budget_is_spent() -> None:
    times = iter([0.0, 1.0, 9.0])
    assert document.read(b"- a\n" * 10_000, Budget(8, lambda: next(times))).may_be_readable


def test_aliases_are_not_expanded_and_may_hold_themselves() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
    root_of(bomb)
    loop = root_of("a: &a\n  b: *a\nc: &c [*c, *c]\n").get("a")
    assert isinstance(loop, Map)
    assert loop.get("b") is loop


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
