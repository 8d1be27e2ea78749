"""The version has one place, and a release is made of what it says it is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from matatika_deploy.step import USER_AGENT
from matatika_deploy.version import __version__
from tools import release

ROOT = Path(__file__).parents[2]
IMAGE = f"ghcr.io/owner/name@sha256:{'0a' * 32}"
CHANGES = """# Changelog

## [Unreleased]

## [1.1.0] - 2026-02-03

### Added

- A thing, see [the reference](https://example.com).

## [1.0.0] - 2026-01-02

- All of it.

[1.1.0]: https://example.com/v1.1.0
[1.0.0]: https://example.com/v1.0.0
"""


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == str(release.VERSION.relative_to(ROOT))
    assert release.project_version(release.VERSION.read_text(encoding="utf-8")) == __version__
    assert release.latest(release.CHANGELOG.read_text(encoding="utf-8"))[0] == __version__
    assert f"matatika-deploy-action/{__version__}" == USER_AGENT


def test_the_changelog_has_something_to_say_about_the_version() -> None:
    assert len(release.notes(release.CHANGELOG.read_text(encoding="utf-8"), __version__).splitlines()) > 2


def test_notes_are_the_section_alone() -> None:
    assert release.notes(CHANGES, "1.1.0") == "### Added\n\n- A thing, see [the reference](https://example.com).\n"
    assert release.notes(CHANGES, "1.0.0") == "- All of it.\n"
    with pytest.raises(release.ReleaseError, match=re.escape("no section [1.2.0]")):
        release.notes(CHANGES, "1.2.0")


def test_latest_is_the_first_section_of_a_version() -> None:
    assert release.latest(CHANGES) == ("1.1.0", "2026-02-03")
    assert release.latest("## [1.0.0]\n") == ("1.0.0", None)
    with pytest.raises(release.ReleaseError):
        release.latest("## [Unreleased]\n")


def test_the_released_action_names_its_image_and_is_the_same_else() -> None:
    # In a released commit, the image is named already.
    action = re.sub(r"image: docker://.*", "image: Dockerfile", release.ACTION.read_text(encoding="utf-8"))
    before, after = yaml.safe_load(action), yaml.safe_load(release.pinned(action, IMAGE))
    assert after["runs"].pop("image") == f"docker://{IMAGE}"
    assert before["runs"].pop("image") == "Dockerfile"
    assert after == before


@pytest.mark.parametrize(
    "image",
    ["ghcr.io/owner/name:1.0.0", "ghcr.io/Owner/Name@sha256:" + "0a" * 32, f"{IMAGE}0", f"{IMAGE}\n", "", "@sha256:"],
)
def test_an_image_without_digest_is_refused(image: str) -> None:
    with pytest.raises(release.ReleaseError):
        release.pinned("runs:\n  image: Dockerfile\n", image)


def test_an_action_that_is_pinned_already_is_refused() -> None:
    with pytest.raises(release.ReleaseError):
        release.pinned(f"runs:\n  image: docker://{IMAGE}\n", IMAGE)


@pytest.mark.parametrize(
    ("version", "tags", "moving"),
    [
        ("1.0.0", [], ["v1.0", "v1"]),
        ("1.2.3", ["v1", "v1.2", "v1.2.2", "v1.1.9", "nightly"], ["v1.2", "v1"]),
        ("1.2.10", ["v1.2.9"], ["v1.2", "v1"]),
        ("2.0.0", ["v1.9.9"], ["v2.0", "v2"]),
        # A correction of an older line leaves alone what has moved on.
        ("1.2.3", ["v1.2.2", "v1.3.0"], ["v1.2"]),
        ("1.2.3", ["v1.2.4"], []),
        # Run again after its own tag was pushed.
        ("1.2.3", ["v1.2.3", "v1.2", "v1"], ["v1.2", "v1"]),
    ],
)
def test_tags_only_move_on(version: str, tags: list[str], moving: list[str]) -> None:
    assert release.moving_tags(version, tags) == moving


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A work tree in which everything is ready for version 1.1.0 of `owner/name`."""
    for attribute, text in {
        "VERSION": '"""The version."""\n\n__version__ = "1.1.0"\n',
        "CHANGELOG": CHANGES,
        "DOCKERFILE": f"FROM python:3@sha256:{'0a' * 32} AS build\nFROM scratch\n",
        "FLEETS": "      uses: owner/name@v1 # the action\n",
    }.items():
        (tmp_path / attribute).write_text(text, encoding="utf-8")
        monkeypatch.setattr(release, attribute, tmp_path / attribute)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return tmp_path


def test_nothing_stands_in_the_way(ready: Path) -> None:
    assert release.problems("1.1.0", ["v1.0.0", "v1", "v1.0"], "owner/name") == []


@pytest.mark.parametrize(
    ("version", "tags", "repository", "problem"),
    [
        ("v1.1.0", [], "owner/name", "is no version"),
        ("1.1", [], "owner/name", "is no version"),
        ("1.1.0-rc1", [], "owner/name", "is no version"),
        ("1.1.0", ["v1.1.0"], "owner/name", "v1.1.0 exists"),
        ("1.1.0", [], "owner/other", "does not have `uses: owner/other@v1`"),
        ("1.1.0", [], "owner/nam", "does not have `uses: owner/nam@v1`"),
    ],
)
def test_what_stands_in_the_way(ready: Path, version: str, tags: list[str], repository: str, problem: str) -> None:
    (found,) = release.problems(version, tags, repository)
    assert problem in found


def test_another_version_than_the_one_that_was_prepared(ready: Path) -> None:
    assert release.problems("1.2.0", [], "owner/name") == [
        "src/matatika_deploy/version.py says 1.1.0.",
        "The first version in CHANGELOG.md is 1.1.0.",
    ]


def test_another_major_version_than_fleets_use(ready: Path) -> None:
    (ready / "FLEETS").write_text("      uses: owner/name@v10\n", encoding="utf-8")
    (found,) = release.problems("1.1.0", [], "owner/name")
    assert "owner/name@v1" in found


def test_a_base_image_that_can_move(ready: Path) -> None:
    (ready / "DOCKERFILE").write_text("FROM python:3-slim AS build\nFROM scratch\n", encoding="utf-8")
    (found,) = release.problems("1.1.0", [], "owner/name")
    assert found.startswith("Dockerfile starts from python:3-slim, which can move.")
    assert "`docker buildx imagetools inspect python:3-slim`" in found


@pytest.mark.parametrize(
    ("dockerfile", "bases"),
    [
        (f"FROM --platform=linux/amd64 python:3@sha256:{'0a' * 32} AS build\nFROM build\n", []),
        ("FROM python:3 AS build\nRUN true\nFROM python:3\n", ["python:3"]),
        ("from python as build\nFROM debian:13@sha256:0a\nFROM build\n", ["python", "debian:13@sha256:0a"]),
    ],
)
def test_unpinned_bases(dockerfile: str, bases: list[str]) -> None:
    assert release.unpinned_bases(dockerfile) == bases


def test_a_version_without_a_date(ready: Path) -> None:
    (ready / "CHANGELOG").write_text(CHANGES.replace("2026-02-03", "unreleased"), encoding="utf-8")
    (found,) = release.problems("1.1.0", [], "owner/name")
    assert "has no date for 1.1.0" in found


def _run(*arguments: str, tags: str = "") -> "subprocess.CompletedProcess[str]":
    """Run it as the workflow does, but without any installed package."""
    command = [sys.executable, "-I", "-S", "tools/release.py", *arguments]
    return subprocess.run(command, cwd=ROOT, input=tags, capture_output=True, text=True, timeout=60)


def test_commands_need_nothing_but_python() -> None:
    shown = _run("notes", __version__)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == release.notes(release.CHANGELOG.read_text(encoding="utf-8"), __version__)
    assert _run("tags", "1.2.3", tags="v1.2.2\nv1\n").stdout == "v1.2\nv1\n"


def test_each_problem_is_an_error_of_the_workflow() -> None:
    refused = _run("check", "0.0.1", "owner/name", tags="v0.0.1\n")
    assert refused.returncode == 1
    lines = refused.stdout.splitlines()
    assert lines[0] == "::error::The tag v0.0.1 exists: a release is never made twice. Raise the version."
    assert all(line.startswith("::error::") for line in lines)
    assert {line.partition(" ")[0] for line in lines} >= {"::error::The", "::error::src/matatika_deploy/version.py"}
