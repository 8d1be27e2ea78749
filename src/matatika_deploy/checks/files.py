"""The checkout, read safely: never outside of it, only plain files, and no more than a set amount.

A repository's content is not to be trusted: a link in it may lead to the host's files, a name may be that of a pipe
without a writer, a size may be absurd.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: A larger file is not read: nobody writes that much YAML by hand.
MAX_FILE_BYTES = 5 * 2**20

_SUFFIXES = (".yml", ".yaml")
# Other people's files, and many of them.
_SKIPPED_FOLDERS = frozenset(("node_modules", "__pycache__"))


@dataclass
class Budget:
    """What one check may still look at: entries of folders, bytes of files, values in them.

    It bounds the time that a hostile or an absurdly large repository can cost, and without a clock, so that the same
    repository always gives the same findings. 10,000 files of 50 MB take a fifth of it.
    """

    entries: int = 200_000
    bytes: int = 512 * 2**20
    nodes: int = 10_000_000

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is to be looked at."""
        return min(self.entries, self.bytes, self.nodes) <= 0


class NotReadError(Exception):
    """A file was not read; the message is a sentence for the user that says why."""


def real(path: Path) -> Path | None:
    """A path without links in it; None if nothing is there."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # a loop of links is a RuntimeError before Python 3.13
        return None


def inside(root: Path, path: Path) -> Path | None:
    """The same, and None also if it leads out of `root`, which must be free of links itself."""
    target = real(path)
    return target if target and target.is_relative_to(root) else None


def names(folder: Path) -> Iterator[str]:
    """The names in a folder, in no order; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except (OSError, ValueError):
        return


def is_yaml(name: str) -> bool:
    """Whether a file of that name is one to check. Hidden ones are not: they are editors' and systems' leftovers."""
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def yaml_files(root: Path, start: Path, budget: Budget) -> Iterator[str]:
    """The YAML files in and below a folder, or the one file that `start` is; each by its real path.

    Links to files are followed within `root`. Links to folders are not: one that leads to the repository's root would
    make every file of it one of this folder's. Folders that cannot be listed are left out.
    """
    if is_yaml(start.name) and start.is_file():
        yield str(start)
    folders = [str(start)]
    while folders:
        listed: list[os.DirEntry[str]] = []
        # Errors come from listing, and where the file system does not list the entries' types, from asking for them.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                budget.entries -= 1
                if budget.is_spent:
                    return
                listed.append(entry)
        for entry in sorted(listed, key=lambda entry: entry.name):
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in _SKIPPED_FOLDERS:
                        folders.append(entry.path)
                elif is_yaml(entry.name):
                    if entry.is_file(follow_symlinks=False):
                        yield entry.path
                    elif entry.is_symlink() and (target := inside(root, Path(entry.path))) and target.is_file():
                        yield str(target)


def read(path: str) -> bytes:
    """The content of a plain file.

    Raises:
        NotReadError: it is too large, is no plain file or may not be read.
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
