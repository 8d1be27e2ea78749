"""One YAML file as a tree with positions: what the rules look at.

The tree is put together from the parser's events. Nothing is constructed, so a tag that nobody here knows is no error;
and there is no recursion, so nesting cannot exhaust the stack (libyaml's own composer ends the whole process at some
100,000 levels). An alias points at the node that it repeats and is never expanded: who looks at a tree must not descend
it blindly, since aliases can make it endless.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

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

#: What is nested deeper is not checked: for each token libyaml needs time in proportion to the depth.
MAX_DEPTH = 200
#: A file with more directives of this kind is not checked: libyaml compares each with all before it.
MAX_TAG_DIRECTIVES = 100

# Absent where PyYAML was built without libyaml.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
# Written without quotes, these can be numbers, dates, booleans or nothing, and so differ from the same text in quotes.
_MAYBE_NOT_TEXT = re.compile(r"[-+.~=<0-9]|(?:y|n|yes|no|on|off|true|false|null)?$", re.IGNORECASE)
# As YAML 1.1 counts lines, and so do PyYAML's marks.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_POINT_AT_START = frozenset(("while scanning an anchor", "while scanning an alias", "while scanning a simple key"))
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True, eq=False)
class Node:
    """A value and its place. `tagged` means that the file itself says what the value is (`!reference`, `!!set`)."""

    mark: Any
    tagged: bool

    @property
    def line(self) -> int:
        """The line where the node starts, counted from 1."""
        return int(self.mark.line) + 1

    @property
    def column(self) -> int:
        """The column where the node starts, counted from 1, in characters."""
        return int(self.mark.column) + 1


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A single value: text, a number, nothing. `plain` means that it is written without quotes."""

    text: str
    plain: bool

    @property
    def is_null(self) -> bool:
        """Whether it is there but says nothing (`schedule:`, `source: null`)."""
        return self.plain and not self.tagged and self.text in _NULLS


@dataclass(slots=True, eq=False)
class List(Node):
    """A list, in either style."""

    children: list[Node]


@dataclass(slots=True, eq=False)
class Map(Node):
    """A map, in either style; `children` are its keys and values in turn."""

    children: list[Node]

    def entries(self) -> Iterator[tuple[Scalar, Node]]:
        """The map's own entries, in the file's order, as far as their keys are single values."""
        for key, value in zip(self.children[::2], self.children[1::2], strict=True):
            if isinstance(key, Scalar):
                yield key, value

    def get(self, name: str) -> Node | None:
        """The value under a key; if the map itself has none, that of a map merged into it (`<<`)."""
        value, pending = self._own(name)
        visited = {id(self)}
        while value is None and pending:
            node = pending.pop()
            if id(node) in visited:
                continue
            visited.add(id(node))
            if isinstance(node, List):
                pending.extend(reversed(node.children))
            elif isinstance(node, Map):
                value, merged = node._own(name)
                pending.extend(merged)
        return value

    def _own(self, name: str) -> tuple[Node | None, list[Node]]:
        """The map's own value under a key, and what is merged into it, the last first."""
        merged: list[Node] = []
        for key, value in self.entries():
            if key.text == name:
                return value, []
            if key.text == "<<":
                merged.append(value)
        return None, merged[::-1]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file could not be read to its end, and where. `certain`: no reader of YAML would have managed it."""

    message: str
    line: int
    column: int
    certain: bool


@dataclass(slots=True, eq=False)
class Document:
    """The first document of a file; what stands behind it may not be read by the platform at all.

    `root` is None if it could not be read to its end. `repeated` holds the keys that stand in a map for a second time,
    each with the line of the first. `nodes` counts the parser's events, for whoever keeps a budget.
    """

    root: Node | None = None
    repeated: list[tuple[Scalar, int]] = field(default_factory=list)
    problem: Problem | None = None
    nodes: int = 0


class _TooMuchError(Exception):
    """There is more than this module is willing to look at."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.mark = mark


def read(data: bytes, *, max_nodes: int) -> Document:
    """Read a file's content. Raises nothing, whatever it is: what is wrong stands in `problem`."""
    document = Document()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        document.problem = _not_utf8(data, error)
        return document
    if data.count(b"%TAG") > MAX_TAG_DIRECTIVES:
        message = f"Not checked: it holds '%TAG' more than {MAX_TAG_DIRECTIVES} times."
        document.problem = Problem(message, 1, 1, certain=False)
        return document
    try:
        _compose(_Parser(data), document, max_nodes)
    except _TooMuchError as error:
        document.problem = Problem(str(error), error.mark.line + 1, error.mark.column + 1, certain=False)
    except yaml.reader.ReaderError:
        document.problem = _unprintable(text)
    except yaml.MarkedYAMLError as error:
        document.problem = _syntax_problem(error, text, in_first_document=document.root is None)
    return document


def _compose(parser: Any, document: Document, max_nodes: int) -> None:
    """Build the tree of the first document and read on to the end of the file, for the sake of mistakes there.

    A whole check spends its time in this loop, so it touches each event once, by its class, the most frequent first.
    """
    next_event = parser.get_event
    anchors: dict[str, Node] = {}
    roots: list[Node] = []
    branches: list[list[Node]] = []
    siblings = roots
    for document.nodes in range(1, max_nodes + 1):
        event = next_event()
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
                raise ComposerError(None, None, f"found undefined alias '{event.anchor}'", event.start_mark)
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
    raise _TooMuchError(f"Not checked: it holds more than {max_nodes:,} values.", event.start_mark)


def _note_repeated(keys: list[Node], document: Document) -> None:
    texts = {key.text for key in keys if key.__class__ is Scalar}
    if len(texts) == len(keys):
        return
    first_seen: dict[str, Scalar] = {}
    for key in keys:
        # A merge key may stand more than once; whether `1` and `!!str 1` are the same is not for us to say.
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
    lines = _LINE_BREAK.split(text[:position])
    message = f"The file is not YAML: the control character U+{ord(character):04X} is not allowed in it."
    return Problem(message, len(lines), len(lines[-1]) + 1, certain=True)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, *, in_first_document: bool) -> Problem:
    lines = _LINE_BREAK.split(text)
    last_line = max((number for number, line in enumerate(lines) if line.strip()), default=0)
    problem, context = error.problem or "it cannot be parsed", error.context or ""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(f"Not checked: {problem}.", 1, 1, certain=False)
    # What is opened and never closed is noticed at the end of the file, and a bad name or key behind its start.
    if error.context_mark and (context in _POINT_AT_START or mark.line > last_line):
        mark = error.context_mark
    number, column = min(mark.line, last_line), mark.column
    line = lines[number]
    debatable = _is_debatable(problem, context, line, column)
    if not in_first_document:
        verdict = "What follows the first document is not YAML"
    else:
        verdict = "Not every reader of YAML accepts this" if debatable else "The file is not YAML"
    what = f"{problem} {context}".rstrip()
    message = f"{verdict}: {what}{_advice(problem, line[column : column + 1])}."
    return Problem(message, number + 1, column + 1, certain=in_first_document and not debatable)


def _is_debatable(problem: str, context: str, line: str, column: int) -> bool:
    """Whether other readers (of YAML 1.2, SnakeYAML, PyYAML's own) take what libyaml refuses here."""
    rest = line[column:]
    if "tab" in problem or rest.startswith("\t"):
        return not line.strip(" \t") or line.strip(" \t").startswith("#")
    if context in ("while scanning an anchor", "while scanning an alias"):
        # YAML 1.2 allows nearly every character in their names. Words behind an alias are wrong for everyone.
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
    if problem.startswith("mapping values are not allowed"):
        return "; a value with ': ' in it must stand in quotes, and keys of one map start in the same column"
    if problem == "did not find expected key":
        return "; look for a quote in mid-value, a missing ':' or a wrong indentation"
    if problem == "could not find expected ':'":
        return "; a ':' may be missing"
    return ""
