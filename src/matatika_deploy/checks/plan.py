"""The plan: what a deployment does to the workspace's pipelines.

A pure comparison of the pipeline files of a checkout with the platform's list of pipelines. What cannot be told is left
out: a file that could not be read, a value with a tag or a template, a name that several files or pipelines have. The
`properties` of pipelines can hold secrets, and are not even read.

https://docs.meltano.com/reference/cloud/dataml/pipelineml/
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import NamedTuple, Self

from matatika_deploy.checks import triggers
from matatika_deploy.checks.document import List, Map, Node, Scalar
from matatika_deploy.checks.rules import TEMPLATE
from matatika_deploy.checks.wording import short
from matatika_deploy.text import name_key

PipelineSettings = Mapping[str, str | float | tuple[str, ...]]

#: A longer list is not compared.
MAX_ITEMS = 1000
# More than is shown of any: so much is searched for credentials.
_LONGEST_TEXT = 1000

# The keys that are compared, in the order in which they are shown, with their fields in the API.
_FIELDS = {
    "label": "label",
    "data_components": "dataComponents",
    "actions": "actions",
    "script": "script",
    "timeout": "timeout",
    "max_retries": "maxRetries",
    "schedule": "schedule",
    "triggered_by": "triggeredBy",
}
_LISTS = frozenset(("data_components", "actions", "triggered_by"))
_NUMBERS = frozenset(("timeout", "max_retries"))
# A missing label has no default, so it is not compared.
_DEFAULTS: PipelineSettings = {
    "script": "",
    "timeout": 300.0,
    "max_retries": 0.0,
    "schedule": "-",
    **dict.fromkeys(_LISTS, ()),
}


class PipelineFile(NamedTuple):
    """A pipeline file: `path` from the repository's root, `name` from its folder of pipelines and without suffix.

    `settings` are those of `settings_of`; None if the file cannot be read, or may be no pipeline. `given_name` is the
    value of the file's key `name`.
    """

    path: str
    name: str
    settings: PipelineSettings | None
    given_name: str | None = None

    @property
    def slugs(self) -> set[str]:
        """The names that the platform may give to the pipeline."""
        return {slug(name) for name in (self.name, self.given_name) if name}


class Pipeline(NamedTuple):
    """A pipeline of the platform; `repository_path` is the file that backs it, if a file does."""

    name: str
    repository_path: str | None
    settings: PipelineSettings
    id: str | None = None

    @classmethod
    def from_json(cls, item: object) -> Self | None:
        """Read an item of the decoded list of pipelines; None if it has no name."""
        fields = item if isinstance(item, dict) else {}
        name, path, identifier = (fields.get(field) for field in ("name", "repositoryPath", "id"))
        if not isinstance(name, str) or not name.strip():
            return None
        path = path.strip() if isinstance(path, str) else None
        settings = _settings({key: fields.get(field) for key, field in _FIELDS.items()})
        return cls(name, path or None, settings, identifier if isinstance(identifier, str) else None)


class Difference(NamedTuple):
    """A key whose value a deployment changes, both values as text; a script's are left out."""

    key: str
    old: str
    new: str

    def said(self, show: Callable[[str], str]) -> str:
        """Say what changes; `show` makes a value fit for a sentence."""
        return f"{self.key}: {show(self.old)} → {show(self.new)}" if self.key != "script" else "script changed"


class Change(NamedTuple):
    """A pipeline that a deployment changes."""

    name: str
    differences: tuple[Difference, ...]


class Creation(NamedTuple):
    """A pipeline that a deployment creates: the name and the path of its file, and what else it is called there."""

    name: str
    path: str
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that users may call it."""
        return (self.name, self.path, *self.other_names)


class Plan(NamedTuple):
    """What a deployment does to pipelines. `delete` has a pipeline's name and its file's path.

    `renamed` has the names of pairs of a deletion and a creation that look like the renaming of a file.
    """

    create: tuple[Creation, ...]
    change: tuple[Change, ...]
    delete: tuple[tuple[str, str], ...]
    renamed: Mapping[str, str]

    def to_json(self) -> dict[str, list[str]]:
        """Give the names of the pipelines, for the output `plan`."""
        return {
            "create": [creation.name for creation in self.create],
            "change": [change.name for change in self.change],
            "delete": [name for name, _ in self.delete],
        }

    def rows(self, clean: Callable[[str], str] = str) -> list[tuple[str, str, str]]:
        """Give a sign (`+`, `~`, `-`), a name and a description for each pipeline; renamed files are side by side.

        Arguments:
            clean: takes credentials that the platform may repeat out of a text, as it was sent.
        """

        def show(text: str) -> str:
            return short(clean(text[:_LONGEST_TEXT]))

        rows = {f"+{it.name}": ("+", show(it.name), f"new: {show(it.path)}") for it in self.create}
        ordered = [
            ("~", show(change.name), "; ".join(difference.said(show) for difference in change.differences))
            for change in self.change
        ]
        for name, path in self.delete:
            what = f"deleted: its file {show(path)} is gone"
            created = self.renamed.get(name)
            if created is None:
                ordered.append(("-", show(name), what))
            else:
                renamed = f"{what}, renamed as it seems; a renamed file is another pipeline"
                ordered += [("-", show(name), renamed), rows.pop(f"+{created}")]
        return [*rows.values(), *ordered]


def slug(name: str) -> str:
    """Give a name as the platform writes it: lower case, with a `-` for each character but letters, digits and `/`."""
    return re.sub(r"[^\w/]|_", "-", name.strip().lower())


def settings_of(root: Map) -> PipelineSettings:
    """Give the settings of a pipeline file that can be compared, with defaults for the missing ones."""
    values = {key: _plain(root.get(key)) for key in _FIELDS}
    inline = _plain(root.get("inline_script"))
    if values["script"] is None:
        values["script"] = inline
    elif inline is not None and inline != values["script"]:
        values["script"] = _UNKNOWN
    return _settings(values)


def compare(
    files: Iterable[PipelineFile], pipelines: Iterable[Pipeline], has_file: Callable[[str], bool], directory: str = ""
) -> Plan:
    """Compare a checkout with the platform.

    Arguments:
        files: all pipeline files of the checkout.
        pipelines: all pipelines of the workspace.
        has_file: whether a path, from the root of the repository or of the workspace, leads to any file.
        directory: the workspace's folder, from the repository's root.
    """
    pipelines = list(pipelines)
    match = _Match(list(files), pipelines, directory)
    meant = _other_names(match.pairs, pipelines)
    create = sorted(_creation(file) for file in match.new if file.settings is not None)
    changes = (Change(pipeline.name, _differences(file, pipeline, meant)) for file, pipeline in match.pairs)
    gone = [it for it in match.unmatched if it.repository_path and not has_file(it.repository_path)]
    return Plan(
        create=tuple(create),
        change=tuple(sorted(change for change in changes if change.differences)),
        delete=tuple(sorted((it.name, it.repository_path or "") for it in gone)),
        renamed=_renamed(match.new, gone, meant),
    )


def _creation(file: PipelineFile) -> Creation:
    others = (file.given_name, (file.settings or {}).get("label"))
    return Creation(file.name, file.path, tuple(name for name in others if isinstance(name, str)))


class _Match:
    """Which file backs which pipeline.

    `pairs` are certain. `new` are files that back no pipeline, `unmatched` pipelines that no file backs. What could be
    one or another is in none of them.
    """

    def __init__(self, files: list[PipelineFile], pipelines: list[Pipeline], directory: str) -> None:
        self.pairs: list[tuple[PipelineFile, Pipeline]] = []
        self.new = files
        self.unmatched = pipelines
        self._match_paths(directory.strip("/"))
        self._match_names(files, pipelines)
        shared = Counter(name for file in files for name in file.slugs)
        self.pairs = [pair for pair in self.pairs if all(shared[name] == 1 for name in pair[0].slugs)]

    def _match_paths(self, directory: str) -> None:
        by_path = {file.path: file for file in self.new}
        claims: list[tuple[Pipeline, set[str]]] = []
        for pipeline in self.unmatched:
            path = (pipeline.repository_path or "").removeprefix("./").strip("/")
            claims.append((pipeline, {path, f"{directory}/{path}" if directory else path} & by_path.keys()))
        count = Counter(path for _, paths in claims for path in paths)
        for pipeline, paths in claims:
            if len(paths) == 1 and count[path := next(iter(paths))] == 1:
                self.pairs.append((by_path[path], pipeline))
        self.new = [file for file in self.new if not count[file.path]]
        self.unmatched = [pipeline for pipeline, paths in claims if not paths]

    def _match_names(self, files: list[PipelineFile], pipelines: list[Pipeline]) -> None:
        of_files = Counter(name for file in files for name in _loose_names(file))
        of_pipelines = Counter(name_key(pipeline.name) for pipeline in pipelines)
        by_name = {name_key(pipeline.name): pipeline for pipeline in self.unmatched}
        new = []
        for file in self.new:
            names = _loose_names(file)
            known = [name for name in names if of_pipelines[name]]
            if any(of_files[name] > 1 for name in names):
                continue
            if not known:
                new.append(file)
            elif len(known) == 1 and of_pipelines[known[0]] == 1 and known[0] in by_name:
                self.pairs.append((file, by_name[known[0]]))
        self.new = new
        self.unmatched = [pipeline for pipeline in self.unmatched if not of_files[name_key(pipeline.name)]]


def _loose_names(file: PipelineFile) -> set[str]:
    return {name_key(name) for name in (file.name, file.given_name) if name}


def _other_names(pairs: list[tuple[PipelineFile, Pipeline]], pipelines: list[Pipeline]) -> dict[str, str]:
    """Give what a `triggered_by` may also call a pipeline (its id, label or file), with its name, if no other is."""
    own = {"deploy", *(name_key(pipeline.name) for pipeline in pipelines)}
    meant: dict[str, set[str]] = {}
    called: list[tuple[Pipeline, tuple[object, ...]]] = [
        *((it, (it.id, it.repository_path, it.settings.get("label"))) for it in pipelines),
        *((it, (file.path, file.name, *_creation(file).other_names)) for file, it in pairs),
    ]
    for pipeline, names in called:
        for name in names:
            if isinstance(name, str) and (key := triggers.normal(name)) not in own:
                meant.setdefault(key, set()).add(name_key(pipeline.name))
    return {name: only for name, (only, *others) in meant.items() if not others}


def _renamed(new: list[PipelineFile], gone: list[Pipeline], meant: Mapping[str, str]) -> dict[str, str]:
    """Give the deletions whose settings are those of exactly one creation, and the reverse."""
    old = [(it.name, _comparable(it.settings, meant)) for it in gone[:100]]
    made = [(file.name, _comparable(file.settings, meant)) for file in new[:100] if file.settings]
    alike = [
        (deletion, creation)
        for deletion, theirs in old
        for creation, ours in made
        if all(ours[key] == theirs[key] for key in ours.keys() & theirs.keys())
    ]
    deleted, created = (Counter(pair[side] for pair in alike) for side in (0, 1))
    return {it: creation for it, creation in alike if deleted[it] == 1 and created[creation] == 1}


def _differences(file: PipelineFile, pipeline: Pipeline, meant: Mapping[str, str]) -> tuple[Difference, ...]:
    ours, theirs = file.settings or {}, pipeline.settings
    mine, yours = _comparable(ours, meant), _comparable(theirs, meant)
    return tuple(
        Difference(key, "" if key == "script" else _show(theirs[key]), "" if key == "script" else _show(ours[key]))
        for key in _FIELDS
        if key in ours and key in theirs and mine[key] != yours[key]
    )


def _comparable(settings: PipelineSettings, meant: Mapping[str, str]) -> dict[str, object]:
    """Give values in the form in which they are compared: the order of components and triggers has no meaning."""
    values: dict[str, object] = dict(settings)
    for key, value in settings.items():
        if key == "triggered_by" and isinstance(value, tuple):
            values[key] = {meant.get(triggers.normal(item), name_key(item)) for item in value}
        elif key == "data_components" and isinstance(value, tuple):
            values[key] = sorted(value)
        elif key == "schedule" and isinstance(value, str):
            values[key] = value.upper().split()
        elif key == "script" and isinstance(value, str):
            values[key] = "\n".join(line.rstrip() for line in value.strip().splitlines())
    return values


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    whole = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if whole else str(value)


_UNKNOWN = object()


def _plain(node: Node | None) -> object:
    """Give a node as the API would give its value; `_UNKNOWN` if it has a tag, or is a map or a list of such."""
    if node is None or (isinstance(node, Scalar) and node.is_null):
        return None
    if node.tagged:
        return _UNKNOWN
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, List) and len(node.children) <= MAX_ITEMS:
        return [_plain(item) for item in node.children if isinstance(item, Scalar)] if _is_flat(node) else _UNKNOWN
    return _UNKNOWN


def _is_flat(node: List) -> bool:
    return all(isinstance(item, Scalar) and not item.tagged for item in node.children)


def _settings(values: Mapping[str, object]) -> PipelineSettings:
    """Give the values that can be compared; those of another type than documented cannot."""
    settings: dict[str, str | float | tuple[str, ...]] = {}
    for key, value in values.items():
        read: str | float | tuple[str, ...] | None
        if value is None or value == "":
            read = _DEFAULTS.get(key)
        elif key in _LISTS:
            read = _items(value)
        elif key in _NUMBERS:
            read = _number(value)
        else:
            read = value.strip() if isinstance(value, str) else None
        if key == "schedule" and isinstance(read, str) and TEMPLATE.search(read):
            read = None
        if read is not None:
            settings[key] = read
    if settings.get("timeout") == 0:
        settings["timeout"] = _DEFAULTS["timeout"]
    return settings


def _items(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        return None
    return tuple(str(item) for item in value if item is not None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
