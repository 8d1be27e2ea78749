"""The rules for one file of each kind, and the level of each finding.

The platform deploys more than its reference describes, and a check that calls a deployable file broken is worse than no
check. So a file is checked against the types of its kind only if its `version` is one that is described: other tools'
files (dbt's `version: 2`), newer versions and values with a tag are not. Unknown keys, empty files and nulls are no
finding. Values that may be secrets are never quoted: `properties`, `app_properties`, and a top level that is no map.
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

#: Of one file, only so many findings are shown.
MAX_FINDINGS_PER_FILE = 20

# Line breaks and tabs in JSON's strings are accepted, as some readers do. Numbers stay text: long ones are slow to
# convert.
_JSON = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
# Text that is filled in later: environment variables, Jinja, ERB.
TEMPLATE = re.compile(r"\$[A-Za-z_{(\[]|\{\{|\{%|<%")
_BOOLEANS = frozenset(("true", "false", "yes", "no", "on", "off"))
_SIMPLE = re.compile(r"[\w./-][\w./: -]{0,60}")
_DURATION = re.compile(r"(\d{1,6}) ?([smh])[a-z]*", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_NUMBER = 100
# Keys whose values can be secrets.
_NEVER_QUOTED = frozenset(("properties", "app_properties"))


class _Complaint(NamedTuple):
    """A finding whose file is added later."""

    level: Level
    message: str
    line: int
    column: int


def check(document: Document, candidates: Collection[Kind], file: str) -> list[Finding]:
    """Give all findings of one file.

    Arguments:
        document: the file's content.
        candidates: the kinds in whose folders the file lies, at least one.
        file: the file's path, as findings name it.
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
    """Give the kind whose rules a file must follow, of those in whose folders it lies; None if that is not certain.

    The `version` decides, and has to be one that is described. A file without one is of its folder's kind.
    """
    return _kind_of(_version(document.root), candidates)


def may_be(document: Document, kind: Kind) -> bool:
    """Give whether a file is a map of a kind, in any version of it or without one."""
    root, version = document.root, _version(document.root)
    is_kind = version is None or version.text.startswith(kind.family)
    return isinstance(root, Map) and bool(root.children) and not root.tagged and is_kind


def is_foreign(document: Document, kind: Kind) -> bool:
    """Give whether a file is another tool's of the same name: a map with neither a version nor any of a kind's keys."""
    root = document.root
    if not isinstance(root, Map) or not root.children:
        return False
    return all(root.get(key) is None for key in ("version", *kind.types))


def _kind_of(version: Scalar | None, candidates: Collection[Kind]) -> Kind | None:
    if version is None:
        return next(iter(candidates)) if len(candidates) == 1 else None
    return next((kind for kind in candidates if version.text in kind.versions), None)


def _version(root: Node | None) -> Scalar | None:
    version = root.get("version") if isinstance(root, Map) else None
    return version if isinstance(version, Scalar) and not version.is_null else None


def _is_version(text: str, kind: Kind) -> bool:
    """Give whether a version is one of a kind's, which may be newer than those that are described."""
    return text in kind.versions or re.fullmatch(rf"{kind.family}v[0-9]+(\.[0-9]+)*", text) is not None


def _complaints(document: Document, candidates: Collection[Kind]) -> Iterator[_Complaint]:
    if problem := document.problem:
        level = Level.ERROR if problem.certain else Level.WARNING
        yield _Complaint(level, problem.message, problem.line, problem.column)
    version = _version(document.root)
    foreign = version is not None and not any(_is_version(version.text, kind) for kind in candidates)
    for key, first_line in document.repeated:
        where = f"first on line {first_line}; only the last one counts"
        yield _at(key, Level.WARNING, f"The key '{short(key.text)}' stands twice in this map, {where}.")
    root = document.root
    if root is None or root.tagged or (isinstance(root, Scalar) and root.is_null):
        return
    if isinstance(root, Map) and root.children and all(kind.family for kind in candidates):
        yield from _about_version(root, version, foreign, candidates)
    kind = _kind_of(version, candidates)
    if kind is None:
        return
    if isinstance(root, Map):
        last_values = {key.text: value for key, value in root.entries() if key.text in kind.types}
        for name, value in last_values.items():
            if not value.tagged:
                yield from _about_value(name, value, kind.types[name])
    else:
        message = f"A {kind.name} file must be a map (name: value), but this is {_what(root, quoted=False)}."
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
        blanks = " with blanks around it" if version.text != version.text.strip() else ""
        message = f"The version '{short(version.text)}'{blanks} is not that of a {names} file: did you mean {versions}?"
        yield _at(version, Level.WARNING, f"{message} If the file belongs to another tool, keep it in another folder.")


def _about_value(key: str, value: Node, wanted: Type) -> Iterator[_Complaint]:
    if isinstance(value, Scalar):
        if not value.is_null:
            yield from _about_scalar(key, value, wanted)
    elif wanted is Type.STRING_OR_STRINGS:
        yield from _about_value(key, value, Type.STRINGS)
    elif wanted not in (Type.STRINGS, Type.MAP):
        hint = "; put it in quotes, or below '|-'" if wanted is Type.JSON else ""
        yield _at(value, Level.ERROR, f"'{key}' must be {wanted.value}, but is {_what(value)}{hint}.")
    elif isinstance(value, List) and wanted is Type.STRINGS:
        for item in value.children:
            if not isinstance(item, Scalar) and not item.tagged:
                message = f"'{key}' must be a list of strings, but here is {_what(item)}{did_you_mean(_joined(item))}"
                yield _at(item, Level.ERROR, message)
    elif isinstance(value, List | Map) and value.children and isinstance(value, Map) is not (wanted is Type.MAP):
        # Some readers convert the one into the other.
        yield _at(value, Level.WARNING, f"'{key}' should be {wanted.value}, but is {_what(value)}.")


def _about_scalar(key: str, value: Scalar, wanted: Type) -> Iterator[_Complaint]:
    text = value.text.strip()
    if wanted in (Type.STRING, Type.STRING_OR_STRINGS):
        return
    if wanted is Type.JSON:
        yield from _about_json(key, value)
    elif wanted is Type.CRON:
        if not TEMPLATE.search(text) and (verdict := cron.judge(text)):
            yield _at(value, *verdict)
    elif wanted is Type.NUMBER:
        if text and not TEMPLATE.search(text) and not _is_number(text):
            level = Level.WARNING if value.plain and text.lower() in _BOOLEANS else Level.ERROR
            hint = did_you_mean(_in_seconds(key, text))
            yield _at(value, level, f"'{key}' must be a number, but is {_what(value)}{hint}")
    elif not TEMPLATE.match(text):
        suggestion = f"[{text}]" if wanted is Type.STRINGS and _SIMPLE.fullmatch(text) else None
        what = _what(value, quoted=key not in _NEVER_QUOTED)
        message = f"'{key}' must be {wanted.value}, but is {what}{did_you_mean(suggestion)}"
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
        yield _at(value, Level.WARNING if TEMPLATE.search(text) else Level.ERROR, message)
    except RecursionError:
        yield _at(value, Level.WARNING, f"Not checked: the JSON in '{key}' nests too deep.")


def _is_number(text: str) -> bool:
    """Give whether YAML, Python or Java reads a text as a number; a text that is too long to be read counts as one."""
    if len(text) > _LONGEST_NUMBER:
        return not text.strip("0123456789_")
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
    """Give the string that `- dbt: run` probably means, which is a map only because of its blank, or `- name: x`."""
    if isinstance(item, Map) and len(item.children) == 2:
        key, value = item.children
        if isinstance(key, Scalar) and isinstance(value, Scalar):
            text = value.text if key.text == "name" else f"{key.text}:{value.text}"
            return text if _SIMPLE.fullmatch(text) else None
    return None


def _what(node: Node, *, quoted: bool = True) -> str:
    if isinstance(node, Scalar):
        return f"the string '{short(node.text)}'" if quoted else "a string"
    return "a map" if isinstance(node, Map) else "a list"


def _at(node: Node, level: Level, message: str) -> _Complaint:
    return _Complaint(level, message, node.line, node.column)
