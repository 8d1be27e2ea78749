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

[1.0.0]: https://example.com/v1.0.0
"""


def test_the_version_is_the_same_everywhere_and_the_changelog_says_what_is_new() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["path"] == str(release.VERSION.relative_to(ROOT))
    assert release.project_version(release.VERSION.read_text(encoding="utf-8")) == __version__
    assert f"matatika-deploy-action/{__version__}" == USER_AGENT
    assert release.latest(CHANGELOG)[0] == __version__
    assert len(release.notes(CHANGELOG, __version__).splitlines()) > 2


def test_latest_is_the_first_section_of_a_version_and_its_notes_are_that_section_alone() -> None:
    assert release.latest(CHANGES) == ("1.1.0", "2026-02-03")
    assert release.latest("## [1.0.0]\n") == ("1.0.0", None)
    assert release.notes(CHANGES, "1.1.0") == "### Added\n- A thing, see [the reference](https://example.com).\n"
    assert release.notes(CHANGES, "1.0.0") == "- All of it.\n"
    with pytest.raises(release.ReleaseError, match=re.escape("no section [1.2.0]")):
        release.notes(CHANGES, "1.2.0")
    with pytest.raises(release.ReleaseError):
        release.latest("## [Unreleased]\n")


def test_the_released_action_names_its_image_and_is_the_same_else() -> None:
    # In a released commit, the image is named already.
    action = re.sub(r"image: docker://.*", "image: Dockerfile", release.ACTION.read_text(encoding="utf-8"))
    before, after = yaml.safe_load(action), yaml.safe_load(release.pinned(action, IMAGE))
    assert after["runs"].pop("image") == f"docker://{IMAGE}"
    assert before["runs"].pop("image") == "Dockerfile"
    assert after == before
    without_digest = ("ghcr.io/owner/name:1.0.0", f"ghcr.io/Owner/Name{DIGEST}", f"{IMAGE}0", f"{IMAGE}\n", "@sha256:")
    for text, image in (*((action, image) for image in without_digest), (release.pinned(action, IMAGE), IMAGE)):
        with pytest.raises(release.ReleaseError):
            release.pinned(text, image)


def test_tags_only_move_on() -> None:
    for version, tags, moving in (
        ("1.2.10", "v1 v1.2 v1.2.9 v1.1.9 nightly", "v1.2 v1"),
        ("2.0.0", "v1.9.9", "v2.0 v2"),
        # A correction of an older line leaves alone what has moved on.
        ("1.2.3", "v1.2.2 v1.3.0", "v1.2"),
        ("1.2.3", "v1.2.4", ""),
        # Run again after its own tag was pushed.
        ("1.2.3", "v1.2.3 v1.2 v1", "v1.2 v1"),
    ):
        assert release.moving_tags(version, tags.split()) == moving.split()


READY = {
    "VERSION": '"""The version."""\n\n__version__ = "1.1.0"\n',
    "CHANGELOG": CHANGES,
    "DOCKERFILE": f"FROM --platform=linux/amd64 python:3{DIGEST} AS build\nFROM build\nFROM scratch\n",
    "FLEETS": "      uses: owner/name@v1 # the action\n",
}
UNPINNED = "FROM python:3 AS build\nFROM build\nfrom debian:13@sha256:0a\nFROM python:3\n"
EXISTING = {"VERSION": '__version__ = "1.0.0"\n', "CHANGELOG": "## [1.0.0] - 2026-01-02"}
CAN_MOVE = "starts from {0}, which can move. Put the digest behind it, {0}@sha256:..., as given by"


@pytest.mark.parametrize(
    ("version", "changed", "found"),
    [
        ("1.1.0", {}, []),
        *((version, {}, ["is no version"]) for version in ("v1.1.0", "1.1", "1.1.0-rc1")),
        ("1.2.0", {}, ["version.py says 1.1.0.", "The first version in CHANGELOG.md is 1.1.0."]),
        ("1.0.0", EXISTING, ["v1.0.0 exists"]),
        ("1.1.0", {"CHANGELOG": CHANGES.replace("2026-02-03", "unreleased")}, ["has no date for 1.1.0"]),
        ("1.1.0", {"CHANGELOG": CHANGES.replace("[Unreleased]\n", "[Unreleased]\n- A fix\n")}, ["under [Unreleased]"]),
        *(
            ("1.1.0", {"FLEETS": f"uses: owner/{other}\n"}, ["does not have `uses: owner/name@v1`"])
            for other in ("other@v1", "name-2@v1", "name@v10")
        ),
        ("1.1.0", {"DOCKERFILE": UNPINNED}, [CAN_MOVE.format("python:3"), CAN_MOVE.format("debian:13@sha256:0a")]),
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
    ("arguments", "tags", "code", "printed"),
    [
        (("notes", __version__), "", 0, release.notes(CHANGELOG, __version__)),
        (("tags", "1.2.3"), "v1.2.2\nv1\n", 0, "v1.2\nv1\n"),
        (("check", "0.0.1", "owner/name"), "v0.0.1\n", 1, "::error::The tag v0.0.1 exists: a release is never made"),
    ],
)
def test_commands_need_nothing_but_python(arguments: tuple[str, ...], tags: str, code: int, printed: str) -> None:
    """Each runs as in the workflow, of which each problem is an error."""
    command = [sys.executable, "-I", "-S", "tools/release.py", *arguments]
    ran = subprocess.run(command, cwd=ROOT, input=tags, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout[: len(printed)], ran.stderr) == (code, printed, "")
    assert ran.stdout == printed or "\n::error::src/matatika_deploy/version.py says " in ran.stdout
