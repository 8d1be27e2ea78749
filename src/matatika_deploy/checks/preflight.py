"""preflight: checks the repository's YAML before anything is triggered.

Which files are checked follows from the workspace: `workspace.yml` and its overlays, `meltano.yml`, and the YAML files
in the folders that `workspace.yml` lists, or in the default ones.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from matatika_deploy.checks import checkout, document, files, locks, paths, rules, triggers
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.checkout import Checkout, CheckoutError
from matatika_deploy.checks.document import Document, Node, Scalar
from matatika_deploy.checks.kinds import IN_FOLDERS, MELTANO, PATHS_KEYS, PIPELINE, WORKSPACE, Kind
from matatika_deploy.checks.pipelines import Pipelines
from matatika_deploy.checks.plan import PipelineFile
from matatika_deploy.checks.wording import did_you_mean, short
from matatika_deploy.findings import Finding, Level

_BASE_NAMES = ("workspace.yml", "workspace.yaml")
_WORKSPACE_NAME = re.compile(r"workspace(-.+)?\.ya?ml", re.DOTALL)
_MAX_SUGGESTIONS = 20
#: Of a repository with more YAML files below the workspace's folders, only so many are checked.
MAX_FILES = 100_000
_NO_WORKSPACE = (
    "No checkout of a workspace: there is neither a workspace.yml nor any pipeline, dataset, channel or datastore. "
    "If the workspace lies in a folder of the repository, name it in `workspace-directory`. Nothing was checked."
)
_ORDER = {Level.ERROR: 0, Level.WARNING: 1, Level.NOTICE: 2}


class Report(NamedTuple):
    """The result of a check.

    `findings` come errors first, then in the order of files and lines. `files` has the number of files of each kind
    that were found. `pipelines` are the workspace's pipeline files, for the plan; None if not all of them are known,
    since there is no workspace, the checkout lacks files, the check ended early, or the folders of pipelines cannot be
    read or differ by environment.
    """

    findings: list[Finding]
    files: Mapping[str, int]
    pipelines: tuple[PipelineFile, ...] | None
    where: Checkout | None

    def has_file(self, path: str) -> bool:
        """Give whether a path leads to a file, from the repository's root or from the workspace's folder.

        What lies in `.meltano` counts as a file: the platform creates it when it installs plugins.
        """
        where = self.where
        if where is None:
            return False
        if paths.is_generated(path):
            return True
        return any(files.inside(where.root, it / paths.relative(path)) for it in (where.root, where.workspace))


def check(
    github_workspace: Path,
    directory: str | None = None,
    default_directory: str | None = None,
    *,
    is_required: bool = False,
) -> Report:
    """Check a workspace's files. Reads only, and raises nothing, whatever the files hold.

    Arguments:
        github_workspace: the runner's folder for checkouts.
        directory: the workspace's folder as the user gave it; a wrong one is a finding of level error.
        default_directory: the folder if the user gave none, as the platform knows it; None for the repository's root.
        is_required: whether nothing to check is a finding of level error, not a notice.
    """
    level = Level.ERROR if is_required else Level.NOTICE
    try:
        where = checkout.locate(github_workspace, directory or default_directory)
    except CheckoutError as error:
        finding = Finding(Level.ERROR if directory else level, f"{error} Nothing was checked.")
        return Report([finding], {}, None, None)
    report = _Preflight(where, Budget(), level).run()
    return report._replace(findings=sorted(report.findings, key=_order))


def _order(finding: Finding) -> tuple[int, str, int, int]:
    return _ORDER[finding.level], finding.file or "", finding.line or 0, finding.column or 0


class _RootFile(NamedTuple):
    """A file in the workspace's own folder.

    `listed` has the paths under each key of a workspace file; None if the file may list some that cannot be read here.
    `root` is kept of `meltano.yml` alone.
    """

    name: str
    path: str
    kind: Kind
    listed: Mapping[str, list[Scalar] | None] | None
    root: Node | None


class _Candidate(NamedTuple):
    """A file to check: the kinds in whose folders it lies, and the first of these folders."""

    kinds: list[Kind]
    folder: str


class _Preflight:
    """One check of one workspace."""

    def __init__(self, where: Checkout, budget: Budget, level_if_empty: Level) -> None:
        self._where = where
        self._level_if_empty = level_if_empty
        self._prefix = f"{str(where.root).rstrip('/')}/"
        self._budget = budget
        self._findings: list[Finding] = []
        self._read: Counter[str] = Counter()
        self._pipelines = Pipelines()
        self._suggestions = 0
        self._is_sparse = checkout.is_sparse(where.root)
        self._missing_submodules = checkout.missing_submodules(where.root)
        self._places = {where.workspace}  # folders whose files are the workspace's, or would be
        self._knows_folders = True  # False if not every pipeline file of the repository can be known

    def run(self) -> Report:
        at_root = self._check_files_at_root()
        folders = self._folders([file for file in at_root if file.kind is WORKSPACE])
        is_whole = not self._check_submodules(folders) and not self._is_sparse
        left_out = self._check_files(self._files_in_folders(folders), {file.path for file in at_root})
        if left_out:
            self._add(Level.WARNING, left_out)
        elif not self._read:
            self._add(self._level_if_empty, _NO_WORKSPACE)
        elif is_whole:
            self._check_references()
            self._check_locks([file for file in at_root if file.kind is MELTANO])
        if self._is_sparse:
            self._add(Level.NOTICE, "The checkout is sparse: only the files in it were checked.")
        knows_pipelines = bool(self._read) and is_whole and not left_out and self._knows_folders
        pipelines = tuple(self._pipelines.files) if knows_pipelines else None
        return Report(self._findings, self._read, pipelines, self._where)

    def _check_files_at_root(self) -> list[_RootFile]:
        checked = []
        for name in sorted(name for name in files.names(self._where.workspace) if _kind_at_root(name)):
            if self._budget.is_spent:
                break
            kind = _kind_at_root(name)
            path = files.linked(self._where.root, self._where.workspace / name)
            if kind and path and files.is_yaml(path.name):
                found = self._document(str(path))
                if found and kind is WORKSPACE and rules.is_foreign(found, kind):
                    continue
                self._check(str(path), [kind], found)
                root = found.root if found else None
                is_known = found is not None and not found.may_be_readable
                listed = {key: paths.listed(root, key) for key in PATHS_KEYS} if is_known else None
                checked.append(_RootFile(name, str(path), kind, listed, root if kind is MELTANO else None))
        return checked

    def _folders(self, workspace_files: list[_RootFile]) -> dict[Kind, list[Path]]:
        """Give the folders of each kind: those of `workspace.yml`, else the defaults, and those of its overlays."""
        if any(file.listed is None for file in workspace_files):
            self._knows_folders = False  # The file may list other folders; the defaults may then be other tools'.
            return {}
        folders: dict[str, list[Path]] = {key: [] for key in PATHS_KEYS}
        defaults = {kind.paths_key: kind.default_paths for kind in IN_FOLDERS}
        for file in workspace_files:
            is_base = file.name in _BASE_NAMES
            for key, listed in (file.listed or {}).items():
                if listed is None:
                    continue
                folders[key] += self._follow(listed, key, file.path)
                if is_base:
                    defaults.pop(key, None)
                if key == PIPELINE.paths_key and not (is_base and all(paths.is_literal(it.text) for it in listed)):
                    self._knows_folders = False
        for key, default_paths in defaults.items():
            targets = (paths.follow(*self._where, path) for path in default_paths)
            folders[key] += filter(None, targets)
        return {kind: list(dict.fromkeys(folders[kind.paths_key])) for kind in IN_FOLDERS}

    def _follow(self, listed: list[Scalar], key: str, path: str) -> list[Path]:
        """Give the folders that a workspace file lists under a key; those that do not exist become findings."""
        followed = []
        for text, item in {item.text: item for item in reversed(listed)}.items():
            if self._budget.is_spent:
                break
            target = paths.follow(*self._where, text)
            if target:
                followed.append(target)
            elif self._is_in_missing_submodule(text):
                self._places.add(self._where.workspace / paths.relative(text))
            elif paths.must_exist(text) and not self._is_sparse:
                suggestion = paths.suggest(*self._where, text) if self._may_suggest() else None
                message = f"The path '{short(text)}' in '{key}' does not exist in the repository"
                self._add(Level.WARNING, f"{message}{did_you_mean(suggestion)}", self._name(path), item)
        return followed[::-1]

    def _check_submodules(self, folders: Mapping[Kind, list[Path]]) -> bool:
        """Give whether a submodule is missing that may hold files of the workspace; a finding says so."""
        listed = set[Path]().union(*folders.values())
        places = self._places | listed
        missing = [
            submodule
            for submodule in self._missing_submodules
            if not self._budget.is_spent
            and (
                any(place.is_relative_to(submodule) for place in places)
                or any(submodule.is_relative_to(folder) for folder in listed)
            )
        ]
        for submodule in missing:
            message = f"The submodule '{short(self._name(str(submodule)))}' is not checked out, so its files were not "
            self._add(Level.WARNING, f"{message}checked: set `submodules: true` for actions/checkout.")
        return bool(missing)

    def _is_in_missing_submodule(self, text: str) -> bool:
        place = self._where.workspace / paths.relative(text)
        return any(place.is_relative_to(submodule) for submodule in self._missing_submodules)

    def _files_in_folders(self, folders: Mapping[Kind, list[Path]]) -> dict[str, _Candidate]:
        """Give the files to check, by their paths."""
        found: dict[str, _Candidate] = {}
        for kind, starts in folders.items():
            for start in starts:
                for path in files.yaml_files(self._where.root, start, self._budget):
                    kinds = found.setdefault(path, _Candidate([], str(start))).kinds
                    if kind not in kinds:
                        kinds.append(kind)
                    if len(found) > MAX_FILES:
                        return found
        return found

    def _check_files(self, candidates: dict[str, _Candidate], checked: Collection[str]) -> str:
        """Check the files in folders, and give a sentence about what was left out, if anything was."""
        for number, (path, candidate) in enumerate(candidates.items()):
            if self._budget.is_spent or number >= MAX_FILES:
                first = short(self._name(path))
                return f"The repository is too large to be checked as a whole: '{first}' and what follows was left out."
            if path not in checked:
                found = self._document(path)
                self._check(path, candidate.kinds, found)
                if PIPELINE in candidate.kinds:
                    self._pipelines.add(self._name(path), path, candidate.folder, found, candidate.kinds)
        return "The repository is too large to be checked as a whole." if self._budget.is_spent else ""

    def _check(self, path: str, kinds: Collection[Kind], found: Document | None) -> None:
        """Check one file for itself, as far as it was read."""
        self._read["/".join(kind.name for kind in kinds)] += 1
        if found:
            self._findings += rules.check(found, kinds, self._name(path))

    def _document(self, path: str) -> Document | None:
        """Read one file; None, and a finding, if it is not read."""
        try:
            data = files.read(path)
        except files.NotReadError as error:
            self._add(Level.WARNING, str(error), self._name(path))
            return None
        if checkout.is_lfs_pointer(data):
            message = "Not checked: the file is a Git LFS pointer. Set `lfs: true` for actions/checkout."
            self._add(Level.WARNING, message, self._name(path))
            return None
        return document.read(data, self._budget)

    def _check_references(self) -> None:
        for first, second, name in self._pipelines.same_names():
            message = f"This pipeline has the same name as '{short(first)}' ('{short(name)}'): the platform keeps one."
            self._add(Level.WARNING, message, second)
        for file, item in self._pipelines.references:
            if self._budget.is_spent:
                break
            if not triggers.is_known(item.text, self._pipelines.names):
                suggestion = triggers.suggest(item.text, self._pipelines.names) if self._may_suggest() else None
                message = f"'triggered_by' names '{short(item.text)}', but no pipeline here has that name"
                self._add(Level.WARNING, f"{message}{did_you_mean(suggestion)}", file, item)

    def _check_locks(self, meltano_files: list[_RootFile]) -> None:
        for file in meltano_files:
            for kind, name, is_custom in locks.without_lock(file.root, self._where.workspace, self._budget):
                what = f"The plugin '{short(name.text)}' ({kind}) has no lock file in plugins/{kind}"
                then = "a deployment may not install it" if is_custom else "a deployment does not install it"
                message = f"{what}, and {then}: run `meltano lock` (or `meltano add`), and commit the file."
                self._add(Level.WARNING, message, self._name(file.path), name)

    def _may_suggest(self) -> bool:
        """Give whether to look for a suggestion: where many names are wrong, spelling is not the cause."""
        self._suggestions += 1
        return self._suggestions <= _MAX_SUGGESTIONS

    def _add(self, level: Level, message: str, file: str | None = None, node: Node | None = None) -> None:
        """Add a finding: about a place in a file, a file as a whole, or no file."""
        if file is None:
            self._findings.append(Finding(level, message))
        else:
            self._findings.append(Finding(level, message, file, node.line if node else 1, node.column if node else 1))

    def _name(self, path: str) -> str:
        """Give a file as findings name it: relative to the repository's root, as text that can be printed."""
        return path.removeprefix(self._prefix).encode(errors="surrogateescape").decode(errors="replace")


def _kind_at_root(name: str) -> Kind | None:
    if name == "meltano.yml":
        return MELTANO
    return WORKSPACE if _WORKSPACE_NAME.fullmatch(name) else None
