"""What a file of each kind has to look like, and how much it weighs if it does not.

The platform deploys more than its reference describes, and a check that calls broken what it deploys is worse than
none. So a file is held to the types of its kind only if nothing speaks against its being of that kind, in a version
that is described: other tools' files (dbt's `version: 2`) are not, nor are newer versions, nor are values with a tag,
whose type is the tag's business. Keys that nobody knows, empty files and nulls are no finding.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from matatika_deploy.checks import cron
from matatika_deploy.checks.document import Document, List, Map, Node, Scalar
from matatika_deploy.checks.kinds import Kind, Type
from matatika_deploy.checks.wording import did_you_mean, short
from matatika_deploy.findings import Finding, Level

#: What goes beyond this in one file is most likely one mistake, repeated.
MAX_FINDINGS_PER_FILE = 20

# Line breaks and tabs in JSON's strings pass, since whoever reads them may be as lenient. Numbers stay text, since
# long ones are slow to convert.
_JSON = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
# What something else fills in before the value counts: environment variables, Jinja, ERB.
_TEMPLATE = re.compile(r"\$[A-Za-z_{(\[]|\{\{|\{%|<%")
_BOOLEANS = frozenset(("true", "false", "yes", "no", "on", "off"))
_SIMPLE = re.compile(r"[\w./-][\w./: -]{0,60}")
_DURATION = re.compile(r"(\d{1,6}) ?([smh])[a-z]*", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _Complaint(NamedTuple):
    level: Level
    message: str
    line: int
    column: int


def check(document: Document, candidates: Collection[Kind], file: str) -> list[Finding]:
    """All findings of one file.

    Arguments:
        document: what was read of it.
        candidates: the kinds in whose folders it lies, at least one.
        file: its path, as the findings name it.
    """
    findings: list[Finding] = []
    for complaint in _complaints(document, candidates):
        level, message, line, column = complaint
        if len(findings) == MAX_FINDINGS_PER_FILE:
            level, message = Level.NOTICE, f"Only the first {MAX_FINDINGS_PER_FILE} findings of a file are shown."
            return [*findings, Finding(level, message, file, line, column)]
        findings.append(Finding(level, message, file, line, column))
    return findings


def kind_of(document: Document, candidates: Collection[Kind]) -> Kind | None:
    """The kind that a file is to be held to, of those in whose folders it lies; None if that is not sure.

    The `version` decides, and has to be one that is described. A file without one is of its folder's kind.
    """
    return _kind_of(_version(document.root), candidates)


def _kind_of(version: Scalar | None, candidates: Collection[Kind]) -> Kind | None:
    if version is None:
        return next(iter(candidates)) if len(candidates) == 1 else None
    return next((kind for kind in candidates if version.text in kind.versions), None)


def _version(root: Node | None) -> Scalar | None:
    version = root.get("version") if isinstance(root, Map) else None
    return version if isinstance(version, Scalar) and not version.is_null else None


def _complaints(document: Document, candidates: Collection[Kind]) -> Iterator[_Complaint]:
    if problem := document.problem:
        level = Level.ERROR if problem.certain else Level.WARNING
        yield _Complaint(level, problem.message, problem.line, problem.column)
    version = _version(document.root)
    foreign = version is not None and not any(version.text.startswith(kind.family) for kind in candidates)
    for key, first_line in document.repeated:
        message = f"The key '{short(key.text)}' stands twice in this map, first on line {first_line}."
        # Of a file that could not be read to its end, the version is not known.
        yield _at(key, Level.WARNING if foreign or document.root is None else Level.ERROR, message)
    root = document.root
    if root is None or root.tagged or (isinstance(root, Scalar) and root.is_null):
        return
    if isinstance(root, Map) and root.children:
        yield from _about_version(root, version, foreign, candidates)
    kind = _kind_of(version, candidates)
    if kind is None:
        return
    if isinstance(root, Map):
        for key, value in root.entries():
            if key.text in kind.types and not value.tagged:
                yield from _about_value(key.text, value, kind.types[key.text])
    else:
        message = f"A {kind.name} file must be a map (name: value), but this is {_what(root)}."
        yield _at(root, Level.ERROR if kind.must_be_map else Level.WARNING, message)


def _about_version(
    root: Map, version: Scalar | None, foreign: bool, candidates: Collection[Kind]
) -> Iterator[_Complaint]:
    if version and not foreign:
        return
    names = " or ".join(kind.name for kind in candidates)
    versions = " or ".join(f"'{kind.versions[0]}'" for kind in candidates)
    if version is None:
        yield _at(root, Level.WARNING, f"There is no version; a {names} file starts with 'version: ', then {versions}.")
    else:
        message = f"The version '{short(version.text)}' is not that of a {names} file: did you mean {versions}?"
        yield _at(version, Level.WARNING, f"{message} If the file belongs to another tool, keep it in another folder.")


def _about_value(key: str, value: Node, wanted: Type) -> Iterator[_Complaint]:
    if isinstance(value, Scalar):
        if not value.is_null:
            yield from _about_scalar(key, value, wanted)
    elif wanted not in (Type.STRINGS, Type.MAP):
        hint = "; put it in quotes, or below '|-'" if wanted is Type.JSON else ""
        yield _at(value, Level.ERROR, f"'{key}' must be {wanted.value}, but is {_what(value)}{hint}.")
    elif isinstance(value, List) and wanted is Type.STRINGS:
        for item in value.children:
            if not isinstance(item, Scalar) and not item.tagged:
                message = f"'{key}' must be a list of strings, but here is {_what(item)}{did_you_mean(_joined(item))}"
                yield _at(item, Level.ERROR, message)
    elif isinstance(value, List | Map) and value.children and isinstance(value, Map) is not (wanted is Type.MAP):
        # Some readers turn the one into the other.
        yield _at(value, Level.WARNING, f"'{key}' should be {wanted.value}, but is {_what(value)}.")


def _about_scalar(key: str, value: Scalar, wanted: Type) -> Iterator[_Complaint]:
    text = value.text.strip()
    if wanted is Type.STRING:
        return
    if wanted is Type.JSON:
        yield from _about_json(key, value)
    elif wanted is Type.CRON:
        if not _TEMPLATE.search(text) and (verdict := cron.judge(text)):
            yield _at(value, *verdict)
    elif wanted is Type.NUMBER:
        if text and not _TEMPLATE.search(text) and not _is_number(text):
            level = Level.WARNING if value.plain and text.lower() in _BOOLEANS else Level.ERROR
            hint = did_you_mean(_in_seconds(key, text))
            yield _at(value, level, f"'{key}' must be a number, but is {_what(value)}{hint}")
    elif not _TEMPLATE.match(text):
        suggestion = f"[{text}]" if wanted is Type.STRINGS and _SIMPLE.fullmatch(text) else None
        message = f"'{key}' must be {wanted.value}, but is {_what(value)}{did_you_mean(suggestion)}"
        yield _at(value, Level.ERROR if text else Level.WARNING, message)


def _about_json(key: str, value: Scalar) -> Iterator[_Complaint]:
    text = value.text
    if not text.strip():
        return
    try:
        _JSON.decode(text)
    except json.JSONDecodeError as error:
        before = text[: error.pos].rstrip()
        here = text[error.pos : error.pos + 1]
        hint = ""
        if here == "'":
            hint = "; JSON has double quotes only"
        elif before.endswith(",") and here in ("}", "]"):
            hint = f"; JSON has no comma before a '{here}'"
        where = f" in line {error.lineno} of the value" if error.lineno > 1 else ""
        message = f"'{key}' must hold JSON, but cannot be read: {error.msg}{where}{hint}."
        yield _at(value, Level.WARNING if _TEMPLATE.search(text) else Level.ERROR, message)
    except RecursionError:
        yield _at(value, Level.WARNING, f"Not checked: the JSON in '{key}' nests too deep.")


def _is_number(text: str) -> bool:
    """Whether YAML, Python or Java takes this for a number."""
    if re.fullmatch(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0o[0-7_]+|\d+(:[0-5]?\d)+|\.(inf|Inf|INF))", text):
        return True
    try:
        float(text.replace("_", "").replace(",", ""))
    except ValueError:
        return False
    return True


def _in_seconds(key: str, text: str) -> str | None:
    duration = _DURATION.fullmatch(text)
    if key != "timeout" or not duration:
        return None
    return str(int(duration[1]) * _SECONDS[duration[2].lower()])


def _joined(item: Node) -> str | None:
    """What was meant by `- dbt: run`, which is a map only because of its blank."""
    if isinstance(item, Map) and len(item.children) == 2:
        key, value = item.children
        if isinstance(key, Scalar) and isinstance(value, Scalar) and _SIMPLE.fullmatch(f"{key.text}:{value.text}"):
            return f"{key.text}:{value.text}"
    return None


def _what(node: Node) -> str:
    if isinstance(node, Scalar):
        return f"the string '{short(node.text)}'"
    return "a map" if isinstance(node, Map) else "a list"


def _at(node: Node, level: Level, message: str) -> _Complaint:
    return _Complaint(level, message, node.line, node.column)
