"""Safe access to the checkout's files: never outside of it, only plain files, and bounded sizes.

A repository's content is not trusted: a link in it may lead to the host's files, a name may be that of a pipe without a
writer, a size may be absurd.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from matatika_deploy.checks.budget import Budget

#: A larger file is not read.
MAX_FILE_BYTES = 5 * 2**20
#: A longer path is not looked up.
MAX_PATH_LENGTH = 1000

_SUFFIXES = (".yml", ".yaml")
# Folders that hold many files of other tools.
_SKIPPED_FOLDERS = frozenset(("node_modules", "__pycache__"))


class NotReadError(Exception):
    """A file was not read; the message is a sentence for the user that says why."""


def real(path: Path) -> Path | None:
    """Resolve a path's links; None if it leads to nothing."""
    if len(str(path)) > MAX_PATH_LENGTH:
        return None
    try:
        path.stat()  # fails at once at a long chain of links, which `resolve` would follow link by link
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # a loop of links is a RuntimeError before Python 3.13
        return None


def inside(root: Path, path: Path) -> Path | None:
    """Resolve a path's links; None if it leads to nothing or out of `root`, which must be free of links itself."""
    target = real(path)
    return target if target and target.is_relative_to(root) else None


def linked(root: Path, path: Path) -> Path | None:
    """Resolve a path that may be a link; None also if a link leads to a hidden file or folder (`.env`, `.git`)."""
    target = inside(root, path)
    if target is None or target == path:
        return target
    hidden = any(part.startswith(".") for part in target.relative_to(root).parts)
    return None if hidden else target


def is_file(path: Path) -> bool:
    """Give whether a path leads to a file; not if that cannot be told."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Give whether a path leads to a folder; not if that cannot be told."""
    try:
        return path.is_dir()
    except OSError:
        return False


def names(folder: Path) -> Iterator[str]:
    """Give the names in a folder, in no order; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except (OSError, ValueError):
        return


def is_yaml(name: str) -> bool:
    """Give whether a file of that name is one to check. Hidden ones are not: editors and systems create them."""
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def yaml_files(root: Path, start: Path, budget: Budget) -> Iterator[str]:
    """Give the YAML files in and below a folder, or the one file that `start` is; each by its real path.

    A link to a YAML file inside `root` is followed. Links to folders are not: one that leads to the repository's root
    would make every file of it one of this folder's. Folders that cannot be listed are left out.
    """
    if is_yaml(start.name) and is_file(start):
        yield str(start)
    folders = [str(start)]
    while folders:
        found: list[tuple[bool, str]] = []  # whether it is a link, and its path
        # Listing can fail, and so can asking for an entry's type where the file system does not list the types.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if budget.is_spent:
                    return
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith(".") and entry.name not in _SKIPPED_FOLDERS:
                            folders.append(entry.path)
                    elif is_yaml(entry.name):
                        found.append((entry.is_symlink(), entry.path))
        for is_link, path in sorted(found):
            if budget.is_spent:
                return
            target = linked(root, Path(path)) if is_link else Path(path)
            if target and is_yaml(target.name) and is_file(target):
                yield str(target)


def read(path: str) -> bytes:
    """Read a plain file.

    Raises:
        NotReadError: the file is too large, is not a plain file, or may not be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise NotReadError(f"Not checked: the file cannot be opened ({error.strerror}).") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotReadError("Not checked: this is not a plain file.")
        if status.st_size > MAX_FILE_BYTES:
            size, limit = status.st_size / 2**20, MAX_FILE_BYTES // 2**20
            raise NotReadError(f"Not checked: the file has {size:,.1f} MiB, and only up to {limit} MiB are read.")
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
            data += more
        return data
    except OSError as error:
        raise NotReadError(f"Not checked: the file cannot be read ({error.strerror}).") from None
    finally:
        os.close(descriptor)
