"""What is in the image, and what is not."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.e2e.containers import PYTHON, Engine

MOST_BYTES_PACKED = 12_000_000
MOST_FILES = 1_000
SYFT = Path(sys.executable).with_name("syft")
DEPENDENCIES = {"certifi", "idna", "pyyaml", "requests", "tenacity", "urllib3"}
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


def _python(engine: Engine, image: str, program: str, *options: str) -> str:
    """What a program prints that the image's own interpreter runs."""
    with engine.removed_afterwards() as name:
        return engine.run("run", "--name", name, "--entrypoint", PYTHON, image, "-I", *options, "-c", program)


def test_is_small(archive: Path, members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    assert len(gzip.compress(archive.read_bytes(), 6)) <= MOST_BYTES_PACKED
    assert sum(not member.isdir() for member in members.values()) <= MOST_FILES


def test_is_one_layer(engine: Engine, image: str) -> None:
    assert len(engine.inspect(image)["RootFS"]["Layers"]) == 1
    sizes = engine.run("history", "--human=false", "--format", "{{.Size}}", image).split()
    assert sum(size not in ("0", "0B") for size in sizes) == 1


def test_starts_the_action_alone(engine: Engine, image: str) -> None:
    config = engine.inspect(image)["Config"]
    assert config["Entrypoint"] == ["/opt/action/main"]
    assert not config.get("User")
    assert not config.get("WorkingDir", "").strip("/")
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_holds_no_tools_and_no_tests(members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    unwanted = {
        "pip",
        "setuptools",
        "hatchling",
        "tests",
        "test",
        "matatika_simulator",
        "idlelib",
        "apt",
        "perl",
        "bash",
    }
    assert not [path for path in members if unwanted & {*path.parts, path.stem}]
    assert not [path for path in members if path.suffix == ".py"]


def test_has_the_applets_that_runners_call(members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    for applet in APPLETS:
        assert members[PurePosixPath("/usr/bin", applet)].linkname == "busybox"


def test_the_action_is_no_program_of_busybox(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        for name in ("main", "post"):
            assert _read(tar, f"opt/action/{name}").startswith(b"#!/usr/local/bin/python3")


def test_anybody_can_use_it(members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    for path, member in members.items():
        needed = 0o005 if member.isdir() or path.parent == PurePosixPath("/opt/action") else 0o004
        assert member.issym() or member.mode & needed == needed, path
    assert members[PurePosixPath("/tmp")].mode & 0o7777 == 0o1777


def test_every_module_can_be_imported(engine: Engine, image: str) -> None:
    imported, failed = _import_all(engine, image, "site-packages", "error")
    assert not failed
    root = Path(__file__).parents[2] / "src"
    ours = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for file in (root / "matatika_deploy").rglob("*.py")
        if file.stem != "__main__"
    }
    assert ours | {"certifi", "idna", "requests", "tenacity", "urllib3", "yaml._yaml"} <= imported


def test_every_module_of_the_standard_library_can_be_imported(engine: Engine, image: str) -> None:
    imported, failed = _import_all(engine, image, "", "ignore")
    # Only that they are made for another system shows that these cannot be.
    assert failed <= {"_ios_support", "encodings.mbcs", "encodings.oem"}
    assert {"encodings.idna", "http.client", "site", "ssl"} <= imported


def _import_all(engine: Engine, image: str, folder: str, warnings: str) -> tuple[set[str], set[str]]:
    """The modules below a folder of the standard library that can be imported, and those that cannot."""
    printed = _python(engine, image, _IMPORT_ALL.format(folder=folder), "-W", warnings).splitlines()
    imported = {line.removeprefix("good ") for line in printed if line.startswith("good ")}
    return imported, {line.removeprefix("bad ") for line in printed if line.startswith("bad ")}


_IMPORT_ALL = """
import importlib, os, pathlib
from matatika_deploy.runtime import bootstrap
bootstrap._leave_out_guessing()
library = pathlib.Path(os.__file__).parent
root = library / "{folder}"
for file in sorted([*root.rglob("*.pyc"), *root.rglob("*.so")]):
    path = file.relative_to(library)
    parts = [part for part in path.parts if part not in ("site-packages", "lib-dynload")]
    name = ".".join([*parts[:-1], parts[-1].partition(".")[0]]).removesuffix(".__init__")
    if path.stem != "__main__":
        try:
            importlib.import_module(name)
            print("good", name)
        except ImportError:
            print("bad", name)
"""


def test_bytecode_needs_no_look_at_the_source(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        compiled = [member for member in tar if member.name.endswith(".pyc")]
        for member in compiled:
            # PEP 552: 1 is "has a hash, and need not be checked".
            assert _read(tar, member.name)[4:8] == (1).to_bytes(4, "little"), member.name
    assert len(compiled) > 300


@pytest.fixture(scope="module")
def bill(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The bill of materials that a scanner makes of the image's files."""
    folder = tmp_path_factory.mktemp("files")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="tar")
    environ = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    command = [str(SYFT), "scan", f"dir:{folder}", "--output", "syft-json", "--quiet"]
    answer: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environ).stdout)
    return answer


def _versions(bill: dict[str, Any]) -> dict[str, str]:
    return {artifact["name"]: artifact["version"] for artifact in bill["artifacts"]}


def test_scanners_find_what_is_in_it(engine: Engine, image: str, bill: dict[str, Any]) -> None:
    versions = _versions(bill)
    assert DEPENDENCIES | {"matatika-deploy-action"} <= versions.keys()
    python, openssl, zlib, glibc = _python(engine, image, _PRINT_VERSIONS).split()
    assert versions["python"] == python
    assert openssl in versions["libssl3t64"]
    assert zlib in versions["zlib1g"]
    assert versions["libc6"].startswith(glibc)
    assert "busybox-static" in versions
    assert bill["distro"]["id"] == "debian"


_PRINT_VERSIONS = """
import os, platform, ssl, zlib
print(platform.python_version(), ssl.OPENSSL_VERSION.split()[1], zlib.ZLIB_RUNTIME_VERSION)
print(os.confstr("CS_GNU_LIBC_VERSION").split()[1])
"""


def test_names_nothing_that_is_not_in_it(bill: dict[str, Any]) -> None:
    assert not {"perl-base", "dpkg", "apt", "bash", "coreutils", "pip", "charset-normalizer"} & _versions(bill).keys()


def test_keeps_the_licences(bill: dict[str, Any], members: dict[PurePosixPath, tarfile.TarInfo]) -> None:
    for artifact in bill["artifacts"]:
        assert any(member.size for member in _licences(artifact, members)), artifact["name"]


def _licences(artifact: dict[str, Any], members: dict[PurePosixPath, tarfile.TarInfo]) -> Iterator[tarfile.TarInfo]:
    name = artifact["name"]
    for path, member in members.items():
        match artifact["type"]:
            case "deb" if path == PurePosixPath("/usr/share/doc", name, "copyright"):
                yield member
            case "python" if "licenses" in path.parts and name.replace("-", "_") in str(path).lower():
                yield member
            case "binary" if path.name == "LICENSE.txt" and path.parent.name.startswith("python3."):
                yield member


def test_files_of_debian_are_as_debian_made_them(members: dict[PurePosixPath, tarfile.TarInfo], archive: Path) -> None:
    with tarfile.open(archive) as tar:
        records = [path for path in members if path.match("/var/lib/dpkg/status.d/*.md5sums")]
        lines = [line for path in records for line in _read(tar, str(path)[1:]).decode().splitlines()]
        checksums = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
        assert {hashlib.md5(_read(tar, name)).hexdigest(): name for name in checksums} == {
            checksum: name for name, checksum in checksums.items()
        }
    assert "usr/bin/busybox" in checksums
    assert any(PurePosixPath(name).name == "libc.so.6" for name in checksums)


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()
