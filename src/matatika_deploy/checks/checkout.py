"""Where the repository and the workspace lie below `GITHUB_WORKSPACE`, and which files the checkout left out.

actions/checkout with `path:` puts the repository into a folder of `GITHUB_WORKSPACE`. The runner hands on a relative
`file` of an annotation as it is, and GitHub resolves it from the repository's root, so findings name files from there:
https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs
"""

import os
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from matatika_deploy.checks import files
from matatika_deploy.checks.wording import short

_MAX_SUBMODULES = 100
_MAX_FOLDERS = 1000
_SUBMODULE_PATH = re.compile(r"^[ \t]*path[ \t]*=[ \t]*(\S.*)$", re.MULTILINE)
_SPARSE = re.compile(r"^[ \t]*sparsecheckout[ \t]*=[ \t]*true\b", re.MULTILINE | re.IGNORECASE)
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


class Checkout(NamedTuple):
    """A repository on disk. `root` and `workspace` are free of links; `workspace` is `root` or a folder in it."""

    root: Path
    workspace: Path


class CheckoutError(Exception):
    """There is no workspace to check; the message is a sentence for the user."""


def locate(github_workspace: Path, directory: str | None) -> Checkout:
    """Find the repository and the workspace in it.

    Arguments:
        github_workspace: the runner's folder for checkouts.
        directory: the workspace's folder, from there or from the repository's root; None for the root itself.

    Raises:
        CheckoutError: there is no checkout, or no such folder in it.
    """
    base = files.real(github_workspace)
    if base is None or not any(files.names(base)):
        raise CheckoutError("No checkout: there are no files to check. Run actions/checkout before this step.")
    bases = [base, only] if (only := _only_repository(base)) else [base]
    if directory is None and only and not _has_workspace_file(base):
        bases.reverse()
    for start in bases:
        workspace = files.linked(start, start / (directory or "."))
        if workspace and files.is_folder(workspace):
            return Checkout(_repository_of(workspace, base), workspace)
    message = f"No checkout of the workspace: there is no folder '{short(directory or '.')}' in the repository."
    for start in bases:
        for submodule in missing_submodules(start):
            if (start / (directory or ".")).is_relative_to(submodule):
                name = short(str(submodule.relative_to(start)))
                message += f" The submodule '{name}' is not checked out: set `submodules: true` for actions/checkout."
    raise CheckoutError(message)


def is_sparse(root: Path) -> bool:
    """Give whether git was told to check out only a part of the repository's files."""
    return any(_SPARSE.search(_text(root / ".git" / name)) for name in ("config", "config.worktree"))


def missing_submodules(root: Path) -> list[Path]:
    """Give the folders of submodules whose files were not checked out."""
    names = _SUBMODULE_PATH.findall(_text(root / ".gitmodules"))[:_MAX_SUBMODULES]
    folders = [root / name.strip().strip('"') for name in names if len(name) < files.MAX_PATH_LENGTH]
    return [folder for folder in folders if files.inside(root, folder) and not any(files.names(folder))]


def is_lfs_pointer(data: bytes) -> bool:
    """Give whether a file's content is Git LFS's reference to the real one."""
    return data.startswith(_LFS_POINTERS)


def _only_repository(base: Path) -> Path | None:
    """Give the one folder below `GITHUB_WORKSPACE` that is a repository, if the latter is none itself."""
    if os.path.lexists(base / ".git"):
        return None
    found = [base / name for name in islice(files.names(base), _MAX_FOLDERS) if files.is_folder(base / name / ".git")]
    return files.inside(base, found[0]) if len(found) == 1 else None


def _has_workspace_file(folder: Path) -> bool:
    return any(files.is_file(folder / name) for name in ("workspace.yml", "workspace.yaml", "meltano.yml"))


def _repository_of(workspace: Path, base: Path) -> Path:
    """Give the root of the repository that a folder lies in: the nearest one with a `.git` folder (submodules have a
    file of that name), or `GITHUB_WORKSPACE`.
    """
    for folder in (workspace, *workspace.parents):
        if folder == base or files.is_folder(folder / ".git"):
            return folder
    return base


def _text(path: Path) -> str:
    try:
        return files.read(str(path)).decode("utf-8", "replace")
    except files.NotReadError:
        return ""
