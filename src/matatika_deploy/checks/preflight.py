"""preflight: the repository's YAML, checked before anything is triggered.

Which files count follows from the workspace: its `workspace.yml` and the overlays of it, its `meltano.yml`, and what
lies in the folders that the former name, or in the default ones.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from matatika_deploy.checks import document, files, paths, rules, triggers
from matatika_deploy.checks.document import Document, Node, Scalar
from matatika_deploy.checks.kinds import IN_FOLDERS, MELTANO, PATHS_KEYS, PIPELINE, WORKSPACE, Kind
from matatika_deploy.checks.wording import did_you_mean, short
from matatika_deploy.findings import Finding, Level

#: A file that holds more values than this is not checked.
MAX_NODES_PER_FILE = 500_000

_BASE_NAMES = ("workspace.yml", "workspace.yaml")
_WORKSPACE_NAME = re.compile(r"workspace(-.+)?\.ya?ml", re.DOTALL)
_MAX_SUGGESTIONS = 20
_WEIGHTS = {Level.ERROR: 0, Level.WARNING: 1, Level.NOTICE: 2}


def check(checkout: Path, directory: str | None) -> list[Finding]:
    """Check a workspace's files. Reads only, and raises nothing, whatever they hold.

    Arguments:
        checkout: the repository's root.
        directory: the workspace's folder in it; None for the root itself.

    Returns:
        The findings, errors first, then in the order of files and lines. If there is nothing to check, one notice.
    """
    root = files.real(checkout)
    if root is None or not any(files.names(root)):
        message = "No checkout: there are no files to check. Let a step with actions/checkout run before this one."
        return [Finding(Level.NOTICE, message)]
    workspace = files.inside(root, root / (directory or "."))
    if workspace is None or not workspace.is_dir():
        message = f"No checkout of the workspace: there is no folder '{short(directory or '.')}' in the repository."
        return [Finding(Level.NOTICE, message)]
    return sorted(_Preflight(root, workspace).run(), key=_order)


def _order(finding: Finding) -> tuple[int, str, int, int]:
    return _WEIGHTS[finding.level], finding.file or "", finding.line or 0, finding.column or 0


class _RootFile(NamedTuple):
    """A file that has its meaning in the workspace's own folder; `document` is None if it was not read."""

    name: str
    path: str
    kind: Kind
    document: Document | None


class _Preflight:
    """One run over one workspace: what was found, and what may still be looked at."""

    def __init__(self, root: Path, workspace: Path) -> None:
        self._root = root
        self._workspace = workspace
        self._prefix = f"{str(root).rstrip('/')}/"
        self._budget = files.Budget()
        self._findings: list[Finding] = []
        self._pipelines: dict[str, str] = {}  # each name by its normal form
        self._references: list[tuple[str, Scalar]] = []
        self._suggestions = 0

    def run(self) -> list[Finding]:
        at_root = self._check_files_at_root()
        in_folders = self._files_in_folders(self._folders([file for file in at_root if file.kind is WORKSPACE]))
        for file in at_root:
            in_folders.pop(file.path, None)
        for path, kinds in in_folders.items():
            if self._budget.is_spent:
                break
            found = self._check(path, kinds)
            if PIPELINE in kinds:
                self._note_pipeline(path, found, kinds)
        if self._budget.is_spent:
            self._add(Level.WARNING, "The repository is too large to be checked as a whole: only a part of it was.")
        else:
            self._check_references()
        if not at_root and not in_folders:
            message = (
                "No checkout of a workspace: there is neither a workspace.yml nor any pipeline, dataset, channel or "
                "datastore. If the workspace lies in a folder of the repository, name it in workspace-directory."
            )
            self._add(Level.NOTICE, message)
        return self._findings

    def _check_files_at_root(self) -> list[_RootFile]:
        checked = []
        for name in sorted(files.names(self._workspace)):
            kind = _kind_at_root(name)
            path = kind and files.inside(self._root, self._workspace / name)
            if kind and path:
                found = self._check(str(path), [kind])
                checked.append(_RootFile(name, str(path), kind, found))
        return checked

    def _folders(self, workspace_files: list[_RootFile]) -> dict[Kind, list[Path]]:
        """Where the files of each kind lie: where `workspace.yml` says, else the defaults, and where overlays say."""
        if any(file.document is None or _may_be_fine(file.document) for file in workspace_files):
            return {}  # It may name other folders, and then the defaults may be other people's.
        folders: dict[str, list[Path]] = {key: [] for key in PATHS_KEYS}
        defaults = {kind.paths_key: kind.default_paths for kind in IN_FOLDERS}
        for file in workspace_files:
            for key in PATHS_KEYS:
                listed = paths.listed(file.document.root if file.document else None, key)
                if listed is not None:
                    folders[key] += self._follow(listed, key, file.path)
                    if file.name in _BASE_NAMES:
                        defaults.pop(key, None)
        for key, default_paths in defaults.items():
            targets = (paths.follow(self._root, self._workspace, path) for path in default_paths)
            folders[key] += filter(None, targets)
        return {kind: folders[kind.paths_key] for kind in IN_FOLDERS}

    def _follow(self, listed: list[Scalar], key: str, path: str) -> list[Path]:
        """The folders that a workspace file lists under a key; those that do not exist become findings."""
        followed = []
        for item in listed:
            self._budget.entries -= 1
            if self._budget.is_spent:
                break
            target = paths.follow(self._root, self._workspace, item.text)
            if target:
                followed.append(target)
            elif paths.is_literal(item.text):
                suggestion = paths.closest(self._workspace, item.text) if self._may_suggest() else None
                message = f"The path '{short(item.text)}' in '{key}' does not exist in the repository"
                self._add(Level.WARNING, f"{message}{did_you_mean(suggestion)}", self._name(path), item)
        return followed

    def _files_in_folders(self, folders: Mapping[Kind, list[Path]]) -> dict[str, list[Kind]]:
        """The files to check below the kinds' folders, each with the kinds that it may be of."""
        found: dict[str, list[Kind]] = {}
        for kind, starts in folders.items():
            for start in starts:
                for path in files.yaml_files(self._root, start, self._budget):
                    kinds = found.setdefault(path, [])
                    if kind not in kinds:
                        kinds.append(kind)
        return found

    def _check(self, path: str, kinds: Collection[Kind]) -> Document | None:
        """Check one file for itself; None if it was not read."""
        try:
            data = files.read(path)
        except files.NotReadError as error:
            self._add(Level.WARNING, str(error), self._name(path))
            return None
        found = document.read(data, max_nodes=MAX_NODES_PER_FILE)
        self._budget.bytes -= len(data)
        self._budget.nodes -= found.nodes
        self._findings += rules.check(found, kinds, self._name(path))
        return found

    def _note_pipeline(self, path: str, found: Document | None, kinds: Collection[Kind]) -> None:
        """Remember what a pipeline may be called, whatever its file looks like, and what it is triggered by."""
        for name in triggers.names(self._name(path), found.root if found else None):
            self._pipelines.setdefault(triggers.normal(name), name)
        if found and rules.kind_of(found, kinds) is PIPELINE:
            self._references += ((self._name(path), item) for item in triggers.references(found.root))

    def _check_references(self) -> None:
        for file, item in self._references:
            if not triggers.is_known(item.text, self._pipelines):
                suggestion = triggers.closest(item.text, self._pipelines) if self._may_suggest() else None
                message = f"'triggered_by' names '{short(item.text)}', but no pipeline here is called that"
                self._add(Level.WARNING, f"{message}{did_you_mean(suggestion)}", file, item)

    def _may_suggest(self) -> bool:
        """Whether to look for what was meant: it takes time, and where many names are wrong, spelling is not why."""
        self._suggestions += 1
        return self._suggestions <= _MAX_SUGGESTIONS

    def _add(self, level: Level, message: str, file: str | None = None, node: Node | None = None) -> None:
        """Note a finding: about a place in a file, a file as a whole, or none in particular."""
        if file is None:
            self._findings.append(Finding(level, message))
        else:
            self._findings.append(Finding(level, message, file, node.line if node else 1, node.column if node else 1))

    def _name(self, path: str) -> str:
        """A file as findings name it: relative to the repository's root, and text that can be printed."""
        return path.removeprefix(self._prefix).encode(errors="surrogateescape").decode(errors="replace")


def _kind_at_root(name: str) -> Kind | None:
    if name == "meltano.yml":
        return MELTANO
    return WORKSPACE if _WORKSPACE_NAME.fullmatch(name) else None


def _may_be_fine(found: Document) -> bool:
    """Whether a file could not be read to its end, while others may well manage."""
    return found.root is None and found.problem is not None and not found.problem.certain
