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
DIGEST = f"@sha256:{'0a' * 32}"
IMAGE = f"ghcr.io/owner/name{DIGEST}"
CHANGELOG = release.CHANGELOG.read_text(encoding="utf-8")
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


def test_the_version_is_the_same_everywhere_and_the_changelog_says_what_is_new() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == str(release.VERSION.relative_to(ROOT))
    assert release.project_version(release.VERSION.read_text(encoding="utf-8")) == __version__
    assert f"matatika-deploy-action/{__version__}" == USER_AGENT
    assert release.latest(CHANGELOG)[0] == __version__
    assert len(release.notes(CHANGELOG, __version__).splitlines()) > 2


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
    ("image", "named"),
    [
        ("ghcr.io/owner/name:1.0.0", "Dockerfile"),
        (f"ghcr.io/Owner/Name{DIGEST}", "Dockerfile"),
        (f"{IMAGE}0", "Dockerfile"),
        (f"{IMAGE}\n", "Dockerfile"),
        ("@sha256:", "Dockerfile"),
        (IMAGE, f"docker://{IMAGE}"),
    ],
)
def test_an_image_without_digest_and_an_action_that_is_pinned_already_are_refused(image: str, named: str) -> None:
    with pytest.raises(release.ReleaseError):
        release.pinned(f"runs:\n  image: {named}\n", image)


@pytest.mark.parametrize(
    ("version", "tags", "moving"),
    [
        ("1.0.0", "", "v1.0 v1"),
        ("1.2.3", "v1 v1.2 v1.2.2 v1.1.9 nightly", "v1.2 v1"),
        ("1.2.10", "v1.2.9", "v1.2 v1"),
        ("2.0.0", "v1.9.9", "v2.0 v2"),
        # A correction of an older line leaves alone what has moved on.
        ("1.2.3", "v1.2.2 v1.3.0", "v1.2"),
        ("1.2.3", "v1.2.4", ""),
        # Run again after its own tag was pushed.
        ("1.2.3", "v1.2.3 v1.2 v1", "v1.2 v1"),
    ],
)
def test_tags_only_move_on(version: str, tags: str, moving: str) -> None:
    assert release.moving_tags(version, tags.split()) == moving.split()


READY = {
    "VERSION": '"""The version."""\n\n__version__ = "1.1.0"\n',
    "CHANGELOG": CHANGES,
    "DOCKERFILE": f"FROM python:3{DIGEST} AS build\nFROM scratch\n",
    "FLEETS": "      uses: owner/name@v1 # the action\n",
}


@pytest.mark.parametrize(
    ("version", "changed", "found"),
    [
        ("1.1.0", {}, []),
        *((version, {}, ["is no version"]) for version in ("v1.1.0", "1.1", "1.1.0-rc1")),
        (
            "1.2.0",
            {},
            ["src/matatika_deploy/version.py says 1.1.0.", "The first version in CHANGELOG.md is 1.1.0."],
        ),
        ("1.0.0", {"VERSION": '__version__ = "1.0.0"\n', "CHANGELOG": "## [1.0.0] - 2026-01-02"}, ["v1.0.0 exists"]),
        ("1.1.0", {"CHANGELOG": CHANGES.replace("2026-02-03", "unreleased")}, ["has no date for 1.1.0"]),
        ("1.1.0", {"FLEETS": "uses: owner/other@v1\n"}, ["does not have `uses: owner/name@v1`"]),
        ("1.1.0", {"FLEETS": "uses: owner/name-2@v1\n"}, ["does not have `uses: owner/name@v1`"]),
        ("1.1.0", {"FLEETS": "uses: owner/name@v10\n"}, ["does not have `uses: owner/name@v1`"]),
        (
            "1.1.0",
            {"DOCKERFILE": "FROM python:3 AS build\nFROM scratch\n"},
            ["starts from python:3, which can move. Put the digest behind it, python:3@sha256:..., as given by"],
        ),
    ],
)
def test_what_stands_in_the_way_is_told(
    version: str, changed: dict[str, str], found: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    for attribute, text in {**READY, **changed}.items():
        (tmp_path / attribute).write_text(text, encoding="utf-8")
        monkeypatch.setattr(release, attribute, tmp_path / attribute)
    problems = release.problems(version, ["v1.0.0", "v1", "v1.0"], "owner/name")
    assert len(problems) == len(found)
    assert all(part in problem for part, problem in zip(found, problems, strict=True))


@pytest.mark.parametrize(
    ("dockerfile", "bases"),
    [
        (f"FROM --platform=linux/amd64 python:3{DIGEST} AS build\nFROM build\n", []),
        ("FROM python:3 AS build\nRUN true\nFROM python:3\n", ["python:3"]),
        ("from python as build\nFROM debian:13@sha256:0a\nFROM build\n", ["python", "debian:13@sha256:0a"]),
    ],
)
def test_bases_that_can_move_have_no_digest(dockerfile: str, bases: list[str]) -> None:
    assert release.unpinned_bases(dockerfile) == bases


def run(*arguments: str, tags: str = "") -> tuple[int, str, str]:
    """Run it as the workflow does, but without any installed package."""
    command = [sys.executable, "-I", "-S", "tools/release.py", *arguments]
    ran = subprocess.run(command, cwd=ROOT, input=tags, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout, ran.stderr


def test_commands_need_nothing_but_python() -> None:
    assert run("notes", __version__) == (0, release.notes(CHANGELOG, __version__), "")
    assert run("tags", "1.2.3", tags="v1.2.2\nv1\n") == (0, "v1.2\nv1\n", "")


def test_each_problem_is_an_error_of_the_workflow() -> None:
    code, printed, _ = run("check", "0.0.1", "owner/name", tags="v0.0.1\n")
    first, second, *_ = printed.splitlines()
    assert code == 1
    assert first == "::error::The tag v0.0.1 exists: a release is never made twice. Raise the version."
    assert second.startswith("::error::src/matatika_deploy/version.py says ")
