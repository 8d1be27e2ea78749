"""What is in the image, and what is not."""

import fnmatch
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.e2e.containers import Engine
from tests.support.readme import ROOT

MOST_BYTES_PACKED = 12_000_000
MOST_FILES = 1_000
DEPENDENCIES = {"certifi", "idna", "pyyaml", "requests", "tenacity", "urllib3"}
UNWANTED = {"pip", "setuptools", "hatchling", "tests", "test", "matatika_simulator", "idlelib", "apt", "perl", "bash"}
APPLETS = {"cat", "chmod", "env", "find", "ls", "mkdir", "mv", "rm", "sh", "stat", "tail", "tar"}


@pytest.fixture(scope="module")
def archive(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's whole file system, as one archive."""
    file = tmp_path_factory.mktemp("image") / "files.tar"
    with engine.removed_afterwards() as name:
        engine.run("create", "--name", name, image)
        engine.run("export", "--output", str(file), name)
    return file


@pytest.fixture(scope="module")
def members(archive: Path) -> dict[PurePosixPath, tarfile.TarInfo]:
    """Everything in it, by its path, without what the engine lays into each container."""
    with tarfile.open(archive) as tar:
        found = {PurePosixPath("/", member.name): member for member in tar}
    mounts = {PurePosixPath("/", name) for name in ("dev", "proc", "sys", "run")}
    return {path: member for path, member in found.items() if mounts.isdisjoint((path, *path.parents))}


def _python(engine: Engine, image: str, program: str) -> list[str]:
    with engine.removed_afterwards() as name:
        options = ("--name", name, "--entrypoint", "/usr/local/bin/python3")
        return engine.run("run", *options, image, "-I", "-c", program).splitlines()


def _read(archive: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """The contents of files of an archive, by their paths."""
    with tarfile.open(archive) as tar:
        return {path: file.read() for path in paths if (file := tar.extractfile(path.removeprefix("/")))}


def test_image_is_small_and_one_layer(
    engine: Engine, image: str, archive: Path, members: dict[PurePosixPath, tarfile.TarInfo]
) -> None:
    assert len(gzip.compress(archive.read_bytes(), 6)) <= MOST_BYTES_PACKED
    assert sum(not member.isdir() for member in members.values()) <= MOST_FILES
    assert len(engine.inspect(image)["RootFS"]["Layers"]) == 1
    sizes = engine.run("history", "--human=false", "--format", "{{.Size}}", image).split()
    assert sum(size not in ("0", "0B") for size in sizes) == 1


def test_image_starts_the_action_alone(engine: Engine, image: str, archive: Path) -> None:
    config = engine.inspect(image)["Config"]
    assert config["Entrypoint"] == ["/opt/action/main"]
    assert not config.get("User")
    assert not config.get("WorkingDir", "").strip("/")
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    for program in _read(archive, ("/opt/action/main", "/opt/action/post")).values():
        assert program.startswith(b"#!/usr/local/bin/python3")


def test_image_holds_the_applets_that_runners_call_and_no_tools_and_no_tests(
    members: dict[PurePosixPath, tarfile.TarInfo],
) -> None:
    assert {members[PurePosixPath("/usr/bin", applet)].linkname for applet in APPLETS} == {"busybox"}
    assert not [path for path in members if UNWANTED & {*path.parts, path.stem} or path.suffix == ".py"]


def test_anybody_can_use_the_image(members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    for path, member in members.items():
        needed = 0o005 if member.isdir() or path.parent == PurePosixPath("/opt/action") else 0o004
        assert member.issym() or member.mode & needed == needed, path
    assert members[PurePosixPath("/tmp")].mode & 0o7777 == 0o1777


def test_every_module_can_be_imported(engine: Engine, image: str) -> None:
    """Our own and those of packages without a warning."""
    seen = [line.split() for line in _python(engine, image, _IMPORT_ALL)]
    imported = {name for end, name in seen if end == "good"}
    # Only that they are made for another system shows that these cannot be.
    assert {name for end, name in seen if end == "bad"} <= {"_ios_support", "encodings.mbcs", "encodings.oem"}
    files = (ROOT / "src/matatika_deploy").rglob("*.py")
    ours = {".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in files if file.stem != "__main__"}
    assert {name.removesuffix(".__init__") for name in ours} <= imported
    assert {"certifi", "idna", "requests", "tenacity", "urllib3", "yaml._yaml"} <= imported
    assert {"encodings.idna", "http.client", "site", "ssl"} <= imported


_IMPORT_ALL = """
import importlib, os, pathlib, warnings
warnings.simplefilter("error")
from matatika_deploy.runtime import bootstrap
bootstrap._leave_out_guessing()
library = pathlib.Path(os.__file__).parent
files = [*library.rglob("*.pyc"), *library.rglob("*.so")]
for file in sorted(files, key=lambda file: "site-packages" not in file.parts):
    path = file.relative_to(library)
    parts = [part for part in path.parts if part not in ("site-packages", "lib-dynload")]
    name = ".".join([*parts[:-1], parts[-1].partition(".")[0]]).removesuffix(".__init__")
    if path.stem != "__main__":
        if "site-packages" not in path.parts:
            warnings.simplefilter("ignore")
        try:
            importlib.import_module(name)
            print("good", name)
        except ImportError:
            print("bad", name)
"""


def test_bytecode_needs_no_look_at_the_source(archive: Path, members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    compiled = _read(archive, [str(path) for path in members if path.suffix == ".pyc"])
    # PEP 552: 1 is "has a hash, and need not be checked".
    assert {content[4:8] for content in compiled.values()} == {(1).to_bytes(4, "little")}
    assert len(compiled) > 300


@pytest.fixture(scope="module")
def bill(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The bill of materials that a scanner makes of the image's files."""
    folder = tmp_path_factory.mktemp("files")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="tar")
    environ = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    syft = Path(sys.executable).with_name("syft")
    command = [str(syft), "scan", f"dir:{folder}", "--output", "syft-json", "--quiet"]
    answer: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environ).stdout)
    return answer


def test_scanners_find_what_is_in_the_image_and_nothing_else(engine: Engine, image: str, bill: dict[str, Any]) -> None:
    versions = {artifact["name"]: artifact["version"] for artifact in bill["artifacts"]}
    assert DEPENDENCIES | {"matatika-deploy-action", "busybox-static"} <= versions.keys()
    assert not {"perl-base", "dpkg", "apt", "bash", "coreutils", "pip", "charset-normalizer"} & versions.keys()
    python, openssl, zlib, glibc = _python(engine, image, _PRINT_VERSIONS)
    assert versions["python"] == python
    assert openssl in versions["libssl3t64"]
    assert zlib in versions["zlib1g"]
    assert versions["libc6"].startswith(glibc)
    assert bill["distro"]["id"] == "debian"


_PRINT_VERSIONS = """
import os, platform, ssl, zlib
print(platform.python_version(), ssl.OPENSSL_VERSION.split()[1], zlib.ZLIB_RUNTIME_VERSION, sep="\\n")
print(os.confstr("CS_GNU_LIBC_VERSION").split()[1])
"""


def test_image_keeps_the_licences(bill: dict[str, Any], members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    texts = [str(path).lower() for path, member in members.items() if member.size]
    places = {"deb": "/usr/share/doc/{}/copyright", "python": "*/{}*/licenses/*", "binary": "*/python3.*/license.txt"}
    for artifact in bill["artifacts"]:
        name = artifact["name"]
        place = places[artifact["type"]].format(name.replace("-", "_") if artifact["type"] == "python" else name)
        assert fnmatch.filter(texts, place), name


def test_files_of_debian_are_as_debian_made_them(archive: Path, members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    records = _read(archive, [str(path) for path in members if path.match("/var/lib/dpkg/status.d/*.md5sums")])
    lines = [line.partition("  ") for record in records.values() for line in record.decode().splitlines()]
    checksums = {name: checksum for checksum, _, name in lines}
    files = _read(archive, checksums)
    assert {name: hashlib.md5(content).hexdigest() for name, content in files.items()} == checksums
    assert "usr/bin/busybox" in checksums
    assert any(PurePosixPath(name).name == "libc.so.6" for name in checksums)
