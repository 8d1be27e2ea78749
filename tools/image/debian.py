"""The Debian packages that files come from: their records, as scanners read them, and their licences."""

import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

DOCUMENTS = Path("/usr/share/doc")
_DATABASE = Path("/var/lib/dpkg/info")
_COMMON = re.compile(r"/usr/share/common-licenses/[\w+.-]*\w")


class UnknownFileError(Exception):
    """A file comes from no package."""


def packages(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Give the packages that own files, each with those that are its own; links in their paths must be resolved.

    Raises:
        UnknownFileError: if there is one that no package owns.
    """
    owners: dict[str, list[Path]] = {}
    answer = _run("dpkg-query", "--search", *map(str, files))
    for line in answer.splitlines():
        package, _, path = line.partition(": ")
        owners.setdefault(package, []).append(Path(path))
    if unknown := set(files) - {file for owned in owners.values() for file in owned}:
        raise UnknownFileError(f"No package owns {min(unknown)}.")
    return owners


def record(package: str) -> str:
    """Give the package manager's own record of an installed package: name, version, source, ..."""
    return _run("dpkg-query", "--status", package)


def checksums(package: str, files: Iterable[Path]) -> str:
    """Give the lines of a package's list of MD5 sums that are about some of its files."""
    (listing,) = [*_DATABASE.glob(f"{package}.md5sums"), *_DATABASE.glob(f"{package.partition(':')[0]}.md5sums")][:1]
    names = {str(file.relative_to("/")) for file in files}
    lines = listing.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.rstrip("\n").partition("  ")[2] in names)


def licence(package: str) -> str:
    """Give the text of a package's `copyright`.

    Base images without any documents exist: then the text comes from the package's archive.
    """
    name = package.partition(":")[0]
    installed = DOCUMENTS / name / "copyright"
    return installed.read_text(encoding="utf-8") if installed.is_file() else _from_archive(name)


def common_licences(licence: str) -> set[Path]:
    """Give the files that a `copyright` refers to for the full text."""
    return {Path(name) for name in _COMMON.findall(licence) if Path(name).is_file()}


def _from_archive(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _run("apt-get", "download", "--quiet", name, folder=folder)
        (archive,) = Path(folder).glob("*.deb")
        content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        folder_name = f".{DOCUMENTS}/{name}"
        # Some packages share the documents of another one.
        if folder_name in files.getnames() and files.getmember(folder_name).issym():
            return _from_archive(Path(files.getmember(folder_name).linkname).name)
        file = files.extractfile(f"{folder_name}/copyright")
        if file is None:
            raise UnknownFileError(f"{folder_name}/copyright is no file.")
        return file.read().decode()


def _run(*command: str, folder: str | None = None) -> str:
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if answer.returncode != 0:
        raise UnknownFileError(answer.stderr.strip())
    return answer.stdout
