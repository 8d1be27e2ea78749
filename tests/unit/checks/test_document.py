import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import document
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.document import Document, List, Map, Scalar


def read(text: str | bytes) -> Document:
    return document.read(text.encode() if isinstance(text, str) else text, Budget())


@pytest.fixture(params=["libyaml", "pure Python"], autouse=True)
def _each_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "libyaml":
        assert yaml.__with_libyaml__, "these tests are to run with libyaml, as the image does"
    else:
        monkeypatch.setattr(document, "_Parser", yaml.SafeLoader)


def test_values_have_their_places() -> None:
    root = read("# comment\nname: 'x'\nlist:\n  - a\n  - {b: 1}\n").root
    assert isinstance(root, Map)
    name, listed = root.get("name"), root.get("list")
    assert isinstance(name, Scalar)
    assert (name.text, name.plain, name.line, name.column) == ("x", False, 2, 7)
    assert isinstance(listed, List)
    first, second = listed.children
    assert isinstance(first, Scalar)
    assert (first.text, first.plain, first.line, first.column) == ("a", True, 4, 5)
    assert isinstance(second, Map)
    assert (second.line, second.column) == (5, 5)


def test_a_byte_order_mark_and_windows_line_ends_move_nothing() -> None:
    root = read("a: 1\nb: 2\n".replace("\n", "\r\n").encode("utf-8-sig")).root
    assert isinstance(root, Map)
    assert [(key.text, key.line, key.column) for key, _ in root.entries()] == [("a", 1, 1), ("b", 2, 1)]


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n", "---\n", "~", "null\n", "---\n...\n", "\ufeff"])
def test_an_empty_document_is_null(text: str) -> None:
    found = read(text)
    assert found.problem is None
    assert found.root is None or (isinstance(found.root, Scalar) and found.root.is_null)


@pytest.mark.parametrize("text", ["'~'", "!!null x", "''", "!x", "0"])
def test_a_quoted_or_tagged_value_is_not_null(text: str) -> None:
    root = read(text).root
    assert isinstance(root, Scalar)
    assert not root.is_null


def test_unknown_tags_are_no_problem() -> None:
    found = read("a: !reference [x, y]\nb: !!python/object:os.system {}\nc: !ENV ${X}\nd: !secret\n")
    assert found.problem is None
    assert isinstance(found.root, Map)
    assert [value.tagged for _, value in found.root.entries()] == [True, True, True, True]


def test_only_the_first_document_counts() -> None:
    found = read("a: 1\n---\nb: 2\nb: 3\n")
    assert found.problem is None
    assert found.repeated == []
    assert isinstance(found.root, Map)
    assert found.root.get("b") is None


class TestMerging:
    def test_own_keys_come_before_merged_keys(self) -> None:
        root = read("base: &base {a: base, b: base}\nhere:\n  <<: *base\n  a: here\n").root
        assert isinstance(root, Map)
        here = root.get("here")
        assert isinstance(here, Map)
        assert [value.text for name in "ab" if isinstance(value := here.get(name), Scalar)] == ["here", "base"]
        assert here.get("c") is None

    def test_the_first_of_several_merged_maps_counts(self) -> None:
        root = read("- &x {a: x}\n- &y {a: y, b: y}\n- {<<: [*x, *y]}\n").root
        assert isinstance(root, List)
        merged = root.children[2]
        assert isinstance(merged, Map)
        assert [value.text for name in "ab" if isinstance(value := merged.get(name), Scalar)] == ["x", "y"]

    def test_a_map_that_is_merged_into_itself_ends(self) -> None:
        root = read("&a\n<<: [*a, *a, *a]\nb: 1\n").root
        assert isinstance(root, Map)
        assert root.get("c") is None


class TestRepeatedKeys:
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
        ],
    )
    def test_repeated_keys_are_found_at_any_depth(self, text: str, expected: list[tuple[str, int, int]]) -> None:
        assert [(key.text, key.line, first) for key, first in read(text).repeated] == expected

    @pytest.mark.parametrize(
        "text",
        [
            "a: {b: 1}\nc: {b: 1}\n",
            "- a: 1\n- a: 2\n",
            "<<: {a: 1}\n<<: {b: 2}\n",
            "x: &x {a: 1}\ny: {<<: *x, a: 2}\n",
            "1: a\n'1': b\n",
            "yes: a\n'yes': b\n",
            "~: a\n'~': b\n",
            "A: 1\na: 2\n",
            "!x a: 1\na: 2\n",
            "? [a]\n: 1\n? [a]\n: 2\n",
            "{{ a }}: 1\n",
        ],
    )
    def test_keys_that_some_reader_keeps_apart_are_not_repeated(self, text: str) -> None:
        found = read(text)
        assert found.problem is None
        assert found.repeated == []


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: b\nc: d: e\n", 2, 5, "quotes"),
        ("a: b\n\tc: d\n", 2, 1, "spaces instead of tabs"),
        ("query: |\n\tSELECT 1\n", 2, 1, "spaces instead of tabs"),
        ("a: 1\nb: @daily\n", 2, 4, "'@' must stand in quotes"),
        ("schedule: * * * * * *\n", 1, 11, "'*' must stand in quotes"),
        ("schedule: */5 * * * * *\n", 1, 11, "'*' must stand in quotes"),
        ("a: *nobody\n", 1, 4, "undefined alias"),
        ("a: 1\nb: 'x\nc: 2\n", 2, 4, "quoted scalar"),
        ("a: 1\nb: [1, 2\n", 2, 4, "flow sequence"),
        ("a: 1\n- b\n", 2, 1, "expected"),
        ("a: \x01\n", 1, 4, "control character U+0001"),
        ("a: 1\nb: \x00\n", 2, 4, "control character U+0000"),
        ('a: "\\d"\n', 1, 5, "escape"),
        ("{% if x %}\na: 1\n{% endif %}\n", 1, 2, "'%' must stand in quotes"),
    ],
)
def test_invalid_yaml_is_a_certain_problem_with_its_place(text: str, line: int, column: int, words: str) -> None:
    found = read(text)
    assert found.root is None
    assert found.problem is not None
    assert found.problem.certain
    assert words in found.problem.message
    assert found.problem.line == line
    assert found.problem.column == pytest.approx(column, abs=2)  # the two parsers mark different ends of some mistakes


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
    ],
)
def test_a_mistake_that_only_some_readers_refuse_is_no_certain_problem(text: str, line: int) -> None:
    problem = read(text).problem
    assert problem is not None
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
    found = read(text)
    assert found.problem is None
    assert isinstance(found.root, Map)
    node = found.root.get("a")
    assert isinstance(node, Scalar)
    assert node.text in (value, value.replace("\ufffd\ufffd", "\ud83d\ude00"), value.replace("\ufffd", "\ud83d"))


def test_the_last_of_repeated_keys_counts() -> None:
    root = read("a: 1\na: 2\n").root
    assert isinstance(root, Map)
    assert isinstance(last := root.get("a"), Scalar)
    assert last.text == "2"


def test_a_message_never_quotes_an_alias_which_can_be_a_password() -> None:
    problem = read("password: *hunter2\n").problem
    assert problem is not None
    assert "hunter2" not in problem.message


@pytest.mark.parametrize(
    ("data", "line", "column", "words"),
    [
        (b"a: 1\nb: caf\xe9\n", 2, 7, "0xE9"),
        ("é: ".encode() + b"\xff", 1, 4, "0xFF"),
        ("a: 1\n".encode("utf-16"), 1, 1, "UTF-16"),
        (b"a: \xed\xa0\x80\n", 1, 4, "0xED"),
    ],
)
def test_other_encodings_are_a_certain_problem_in_their_place(data: bytes, line: int, column: int, words: str) -> None:
    problem = read(data).problem
    assert problem is not None
    assert problem.certain
    assert "not UTF-8" in problem.message
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column)


class TestBounds:
    def test_deep_nesting_is_not_followed(self) -> None:
        deepest = "[" * document.MAX_DEPTH + "]" * document.MAX_DEPTH
        assert read(deepest).problem is None
        found = read(f"[{deepest}]")
        assert found.root is None
        assert found.problem is not None
        assert not found.problem.certain

    def test_too_many_values_are_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "- a\n" * 100
        monkeypatch.setattr(document, "MAX_NODES", 106)  # and the start and end of list, document and stream
        assert read(text).problem is None
        monkeypatch.setattr(document, "MAX_NODES", 105)
        problem = read(text).problem
        assert problem is not None
        assert not problem.certain

    def test_reading_ends_when_the_budget_is_spent(self) -> None:
        times = iter([0.0, 1.0, 9.0])
        found = document.read(b"- a\n" * 10_000, Budget(8, lambda: next(times)))
        assert found.root is None
        assert found.problem is not None
        assert not found.problem.certain

    def test_too_many_directives_are_not_read(self) -> None:
        problem = read("".join(f"%TAG !a{n}! b\n" for n in range(1000)) + "--- x\n").problem
        assert problem is not None
        assert not problem.certain

    def test_aliases_are_not_expanded(self) -> None:
        bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
        found = read(bomb)
        assert found.problem is None

    def test_anchors_that_hold_themselves_are_no_problem(self) -> None:
        found = read("a: &a\n  b: *a\nc: &c [*c, *c]\n")
        assert found.problem is None
        assert isinstance(found.root, Map)
        loop = found.root.get("a")
        assert isinstance(loop, Map)
        assert loop.get("b") is loop


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-?[]{}&*!|>'\"%@#~<. \t\n\r\\\ufeff\x00é", max_size=60)))
def test_a_document_has_a_problem_exactly_where_the_parser_has_one(content: bytes | str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    found = read(data)
    refusal = _refusal(data)
    if isinstance(refusal, yaml.MarkedYAMLError) and document._LenientParser.may_accept(refusal):
        return  # a second, more lenient parser decides
    if refusal is None:
        assert found.problem is None
    else:
        assert found.problem is not None, refusal
        assert 1 <= found.problem.line <= data.count(b"\n") + data.count(b"\r") + 1
        assert 1 <= found.problem.column <= len(data) + 1


def _refusal(data: bytes) -> Exception | None:
    try:
        data.decode()
        for _ in yaml.compose_all(data, document._Parser):
            pass
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # An anchor may be given anew; that PyYAML refuses it is its own affair.
        return None if "duplicate anchor" in str(error) else error
    return None
