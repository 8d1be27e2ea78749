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


def licences(packages: Iterable[str]) -> dict[str, str]:
    """Give the text of each package's `copyright`.

    The official slim images keep these files alone of all documents. For a base image without them, the texts come from
    the packages' archives. Reference: https://github.com/debuerreotype/debuerreotype/blob/master/scripts/.slimify-includes
    """
    files = {package: DOCUMENTS / package.partition(":")[0] / "copyright" for package in packages}
    missing = [package for package, file in files.items() if not file.is_file()]
    installed = {package: file.read_text(encoding="utf-8") for package, file in files.items() if file.is_file()}
    return installed | (_from_archives(missing) if missing else {})


def common_licences(licence: str) -> set[Path]:
    """Give the files that a `copyright` refers to for the full text."""
    return {Path(name) for name in _COMMON.findall(licence) if Path(name).is_file()}


def _from_archives(packages: list[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        _run("apt-get", "download", "--quiet", *packages, folder=folder)
        found = {archive.name.partition("_")[0]: _documents(archive) for archive in Path(folder).glob("*.deb")}
    return {package: _text(found[package.partition(":")[0]]) for package in packages}


def _documents(archive: Path) -> str | Path:
    """Give the text of an archive's `copyright`, or the folder of the package that has the documents of both."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        folder = f".{DOCUMENTS}/{archive.name.partition('_')[0]}"
        member = files.getmember(folder)
        if member.issym():
            return Path(member.linkname)
        file = files.extractfile(f"{folder}/copyright")
        return file.read().decode() if file else ""


def _text(documents: str | Path) -> str:
    return documents if isinstance(documents, str) else licences([documents.name])[documents.name]


def _run(*command: str, folder: str | None = None) -> str:
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if answer.returncode != 0:
        raise UnknownFileError(answer.stderr.strip())
    return answer.stdout
