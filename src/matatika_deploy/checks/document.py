"""One YAML file as a tree of nodes with positions, which the rules read.

The tree is built from the parser's events. No value is constructed, so an unknown tag is no error. Nothing is
recursive, so nesting cannot exhaust the stack (libyaml's own composer ends the process at some 100,000 levels). An
alias points at the node that it repeats and is never expanded: a tree can contain itself, so do not walk it
recursively.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml
from yaml.composer import ComposerError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from matatika_deploy.checks.budget import Budget

#: A file that holds more values is not checked.
MAX_NODES = 500_000
#: A file that nests deeper is not checked: for each token libyaml needs time in proportion to the depth.
MAX_DEPTH = 200
#: A file with more `%TAG` directives is not checked: libyaml compares each with all before it.
MAX_TAG_DIRECTIVES = 100

# Events between two looks at the budget.
_EVENTS_AT_A_TIME = 4096
# Characters of a line in which the parser found a mistake.
_LONGEST_LINE = 100_000
# Maps that are looked at for one key: a merge key (`<<`) can name any number of them.
_MAX_MERGED = 1000

# Absent where PyYAML was built without libyaml.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
# Without quotes, these can be numbers, dates, booleans or nulls, which differ from the same text in quotes.
_MAYBE_NOT_TEXT = re.compile(r"[-+.~=<0-9]|(?:y|n|yes|no|on|off|true|false|null)?$", re.IGNORECASE)
# As YAML 1.1 counts lines, and so do PyYAML's marks.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_POINT_AT_START = frozenset(("while scanning an anchor", "while scanning an alias", "while scanning a simple key"))
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Node:
    """A value and its place. `tagged` means that the file itself names the value's type (`!reference`, `!!set`)."""

    __slots__ = ("mark", "tagged")

    def __init__(self, mark: Any, tagged: bool) -> None:
        self.mark = mark
        self.tagged = tagged

    @property
    def line(self) -> int:
        """The line where the node starts, counted from 1."""
        return int(self.mark.line) + 1

    @property
    def column(self) -> int:
        """The column where the node starts, counted from 1, in characters."""
        return int(self.mark.column) + 1


class Scalar(Node):
    """A single value: text, a number, nothing. `plain` means that it is written without quotes."""

    __slots__ = ("plain", "text")

    def __init__(self, mark: Any, tagged: bool, text: str, plain: bool) -> None:
        self.mark = mark
        self.tagged = tagged
        self.text = text
        self.plain = plain

    @property
    def is_null(self) -> bool:
        """Whether the value is empty (`schedule:`, `source: null`)."""
        return self.plain and not self.tagged and self.text in _NULLS


class List(Node):
    """A list, in either style."""

    __slots__ = ("children",)

    def __init__(self, mark: Any, tagged: bool, children: list[Node]) -> None:
        self.mark = mark
        self.tagged = tagged
        self.children = children


class Map(Node):
    """A map, in either style; `children` are its keys and values in turn."""

    __slots__ = ("children",)

    def __init__(self, mark: Any, tagged: bool, children: list[Node]) -> None:
        self.mark = mark
        self.tagged = tagged
        self.children = children

    def entries(self) -> Iterator[tuple[Scalar, Node]]:
        """The map's own entries, in the file's order, as far as their keys are single values."""
        for key, value in zip(self.children[::2], self.children[1::2], strict=True):
            if isinstance(key, Scalar):
                yield key, value

    def get(self, name: str) -> Node | None:
        """Give the value under a key, the last one if the key is repeated, else that of a merged map (`<<`)."""
        value, pending = self._own(name)
        visited = {id(self)}
        while value is None and pending and len(visited) < _MAX_MERGED:
            node = pending.pop()
            if id(node) in visited:
                continue
            visited.add(id(node))
            if isinstance(node, List):
                pending.extend(reversed(node.children[:_MAX_MERGED]))
            elif isinstance(node, Map):
                value, merged = node._own(name)
                pending.extend(merged)
        return value

    def _own(self, name: str) -> tuple[Node | None, list[Node]]:
        """Give the map's own value under a key, and the maps that are merged into it, the last first."""
        value: Node | None = None
        merged: list[Node] = []
        for key, item in self.entries():
            if key.text == name:
                value = item
            elif key.text == "<<" and len(merged) < _MAX_MERGED:
                merged.append(item)
        return value, merged[::-1]


class Problem(NamedTuple):
    """Why a file could not be read to its end, and where. `certain`: no reader of YAML accepts the file."""

    message: str
    line: int
    column: int
    certain: bool


class Document:
    """The first document of a file; the platform may not read those behind it.

    `root` is None if the document could not be read to its end. `repeated` holds the keys that stand in a map for a
    second time, each with the line of the first.
    """

    def __init__(self) -> None:
        self.root: Node | None = None
        self.repeated: list[tuple[Scalar, int]] = []
        self.problem: Problem | None = None

    @property
    def may_be_readable(self) -> bool:
        """Whether the document could not be read here, though other readers may be able to."""
        return self.root is None and self.problem is not None and not self.problem.certain


class _TooMuchError(Exception):
    """A file holds more than this module reads."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.mark = mark


class _LenientParser:
    """The parser for a text that only libyaml refuses.

    Other readers accept half of a surrogate pair as an escape (`"\\ud83d"`), and a tab after the indentation of a block
    scalar's first line. Both are replaced by a character of the same width, and the tab is put back into the values.
    """

    _SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
    # A line is looked at once, up to its first header, and what follows is never tried again: no text takes long.
    _TAB_IN_BLOCK = re.compile(
        r"((?<![^\r\n])(?>[^\r\n]*?[|>][-+1-9]{0,2}(?:[ \t]+#[^\r\n]*+|[ \t]*+)(?:\r\n?|\n|\Z))(?:[ ]*+\r?\n)*+[ ]++)\t"
    )
    _STAND_IN = "\ue009"

    def __init__(self, text: str) -> None:
        text = self._SURROGATE.sub(r"\\ufffd", text)
        self._parser = _Parser(self._TAB_IN_BLOCK.sub(rf"\1{self._STAND_IN}", text).encode())

    @staticmethod
    def may_accept(error: yaml.MarkedYAMLError) -> bool:
        """Give whether a text was refused for one of the two reasons."""
        reasons = ("found invalid Unicode character escape code", "found a tab character where an indentation space")
        return (error.problem or "").startswith(reasons)

    def get_event(self) -> Any:
        event = self._parser.get_event()
        if event.__class__ is ScalarEvent:
            event.value = event.value.replace(self._STAND_IN, "\t")
        return event


def read(data: bytes, budget: Budget) -> Document:
    """Read a file's content. Raises nothing: what is wrong stands in `problem`."""
    document = Document()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        document.problem = _not_utf8(data, error)
        return document
    if data.count(b"%TAG") > MAX_TAG_DIRECTIVES:
        message = f"Not checked: '%TAG' stands in the file more than {MAX_TAG_DIRECTIVES} times."
        document.problem = Problem(message, 1, 1, certain=False)
        return document
    refusal = _parse(lambda: _Parser(data), document, text, budget)
    if refusal and _LenientParser.may_accept(refusal):
        retried = Document()
        if not _parse(lambda: _LenientParser(text), retried, text, budget):
            return retried
    return document


def _parse(
    make_parser: Callable[[], Any], document: Document, text: str, budget: Budget
) -> yaml.MarkedYAMLError | None:
    """Fill a document; give the parser's error if it refused the text."""
    try:
        _compose(make_parser(), document, budget)
    except _TooMuchError as error:
        document.problem = Problem(str(error), error.mark.line + 1, error.mark.column + 1, certain=False)
    except yaml.reader.ReaderError:
        document.problem = _unprintable(text)
    except yaml.MarkedYAMLError as error:
        document.problem = _syntax_problem(error, text, in_first_document=document.root is None)
        return error
    return None


def _compose(parser: Any, document: Document, budget: Budget) -> None:
    """Build the tree of the first document, and read on to the end of the file to find the mistakes there.

    A check spends most of its time in this loop: each event is looked at once, by its class, the most frequent first.
    """
    next_event = parser.get_event
    anchors: dict[str, Node] = {}
    roots: list[Node] = []
    branches: list[list[Node]] = []
    siblings = roots
    for count in range(MAX_NODES):
        event = next_event()
        if count % _EVENTS_AT_A_TIME == 0 and budget.is_spent:
            raise _TooMuchError("Not checked to its end: the time for the check is over.", event.start_mark)
        kind = event.__class__
        node: Node
        if kind is ScalarEvent:
            node = Scalar(event.start_mark, event.tag is not None, event.value, not event.style)
            siblings.append(node)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            children: list[Node] = []
            node = (Map if kind is MappingStartEvent else List)(event.start_mark, event.tag is not None, children)
            siblings.append(node)
            branches.append(siblings)
            siblings = children
            if len(branches) > MAX_DEPTH:
                raise _TooMuchError(f"Not checked: values nest deeper than {MAX_DEPTH} levels.", event.start_mark)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            if kind is MappingEndEvent and document.root is None:
                _note_repeated(siblings[::2], document)
            siblings = branches.pop()
            continue
        elif kind is AliasEvent:
            if event.anchor not in anchors:
                # Without the alias's name, which can be a password that lacks its quotes.
                raise ComposerError(None, None, "found undefined alias", event.start_mark)
            siblings.append(anchors[event.anchor])
            continue
        elif kind is DocumentEndEvent:
            document.root = document.root or roots[0]
            roots.clear()
            anchors.clear()
            continue
        elif kind is StreamEndEvent:
            return
        else:
            continue
        if event.anchor is not None:
            anchors[event.anchor] = node
    raise _TooMuchError(f"Not checked: the file holds more than {MAX_NODES:,} values.", event.start_mark)


def _note_repeated(keys: list[Node], document: Document) -> None:
    texts = {key.text for key in keys if key.__class__ is Scalar}
    if len(texts) == len(keys):
        return
    first_seen: dict[str, Scalar] = {}
    for key in keys:
        # A merge key may be repeated, and readers differ on whether `1` and `!!str 1` are the same key.
        if not isinstance(key, Scalar) or key.tagged or key.text == "<<":
            continue
        first = first_seen.setdefault(key.text, key)
        if first is not key and (first.plain is key.plain or not _MAYBE_NOT_TEXT.match(key.text)):
            document.repeated.append((key, first.line))


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> Problem:
    before = data[: error.start]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode("utf-8")) + 1
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        what = "it looks like UTF-16"
    else:
        what = f"byte 0x{data[error.start]:02X} here belongs to another encoding"
    return Problem(f"The file is not UTF-8: {what}. Save it as UTF-8.", before.count(b"\n") + 1, column, certain=True)


def _unprintable(text: str) -> Problem:
    found = _UNPRINTABLE.search(text)
    position, character = (found.start(), found.group()) if found else (0, text[:1])
    message = f"The file is not YAML: the control character U+{ord(character):04X} is not allowed in it."
    return Problem(message, _breaks(text[:position]) + 1, position - _line_start(text, position) + 1, certain=True)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, *, in_first_document: bool) -> Problem:
    problem, context = error.problem or "the parser gives no reason", error.context or ""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(f"Not checked: {problem}.", 1, 1, certain=False)
    end = len(text.rstrip())
    # What is opened and never closed is noticed at the end of the file, and a bad name or key behind its start.
    if error.context_mark and (context in _POINT_AT_START or mark.index >= end):
        mark = error.context_mark
    number, index = (mark.line, mark.index) if mark.index < end else (_breaks(text[:end]), end)
    line = _LINE_BREAK.split(text[_line_start(text, index) :][:_LONGEST_LINE], maxsplit=1)[0]
    debatable = _is_debatable(problem, context, line, mark.column)
    if not in_first_document:
        verdict = "What follows the first document is not YAML"
    else:
        verdict = "Not every reader of YAML accepts this" if debatable else "The file is not YAML"
    what = f"{problem} {context}".rstrip()
    message = f"{verdict}: {what}{_advice(problem, line[mark.column : mark.column + 1])}."
    return Problem(message, number + 1, mark.column + 1, certain=in_first_document and not debatable)


def _breaks(text: str) -> int:
    return sum(1 for _ in _LINE_BREAK.finditer(text))


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _is_debatable(problem: str, context: str, line: str, column: int) -> bool:
    """Give whether other readers (of YAML 1.2, SnakeYAML, PyYAML's own) accept what libyaml refuses here."""
    rest = line[column:]
    if "tab" in problem or rest.startswith("\t"):
        return not line.strip(" \t") or line.strip(" \t").startswith("#")
    if context in ("while scanning an anchor", "while scanning an alias"):
        # YAML 1.2 allows nearly every character in their names. Words behind an alias are wrong for all readers.
        return re.match(r"&[^\s,\[\]{}]+|\*[^\s,\[\]{}]+\s*(?:[,\]}:#]|$)", rest) is not None
    return (
        problem in ("found unexpected ':'", "found incompatible YAML document", "found unknown directive name")
        or context == "while scanning a tag"
        or line.rstrip() == "..."
        or "\ufeff" in line
    )


def _advice(problem: str, start: str) -> str:
    if "tab" in problem or start == "\t":
        return "; indent with spaces instead of tabs"
    if start and start in "@`%*&|>":
        return f"; a value that starts with '{start}' must stand in quotes"
    if "sequence entries are not allowed" in problem:
        return "; a '-' on its own must stand in quotes, and a list starts on the next line"
    if problem.startswith("mapping values are not allowed"):
        return "; a value with ': ' in it must stand in quotes, and keys of one map start in the same column"
    if problem == "did not find expected key":
        return "; look for a quote in mid-value, a missing ':' or a wrong indentation"
    if problem == "could not find expected ':'":
        return "; a ':' may be missing"
    return ""
