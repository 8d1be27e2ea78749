"""The release workflow's last two jobs: their own scripts, run against a repository on this machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_deploy.version import __version__
from tools import release

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/release.yml"
JOBS: dict[str, Any] = yaml.safe_load((ROOT / WORKFLOW).read_text(encoding="utf-8"))["jobs"]
IMAGE = f"ghcr.io/owner/name@sha256:{'0a' * 32}"
MINOR, MAJOR = __version__.rpartition(".")[0], __version__.split(".")[0]
OWN_TAG = f"v{__version__}"
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")
DATE = "2026-01-02T03:04:05+00:00"
# Stand-ins: a registry from which everybody can pull, and a GitHub that keeps the arguments and notes of a release.
DOCKER = "#!/bin/sh\n"
GH = """#!/bin/sh
[ "$1" = release ] || exit 0
echo "$@" >>"$RELEASES"
cp "$RUNNER_TEMP/release/notes.md" "$RELEASES.notes"
"""


class Repository:
    """A repository with a clone: what `origin` and the checkout are to the job."""

    def __init__(self, folder: Path) -> None:
        self._checkout, self._bin, self._temp = folder / "checkout", folder / "bin", folder / "temp"
        self._origin, self.releases, self.printed = str(folder / "origin.git"), folder / "releases", ""
        for made in (self._checkout, self._bin, self._temp):
            made.mkdir()
        for name, text in {"docker": DOCKER, "gh": GH}.items():
            (self._bin / name).write_text(text, encoding="utf-8")
            (self._bin / name).chmod(0o755)
        for name in ("action.yml", "CHANGELOG.md", "tools/release.py", "src/matatika_deploy/version.py", WORKFLOW):
            (self._checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self._checkout / name)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git(*IDENTITY, "commit", "--quiet", "--message=Work", f"--date={DATE}")
        self.git("clone", "--quiet", "--bare", ".", self._origin)
        self.git("remote", "add", "origin", self._origin)

    def push(self, ref: str, name: str = "CHANGELOG.md") -> None:
        """Push a commit that changes a file to a ref of `origin`, and leave the clone's own `main` where it is."""
        with (self._checkout / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        self.git(*IDENTITY, "commit", "--quiet", f"--message=Change {name}", "--", name)
        self.git("push", "--quiet", "origin", f"HEAD:{ref}")
        self.git("fetch", "--quiet", "--tags", "origin")
        self.git("reset", "--quiet", "--hard", "HEAD~1")

    def tags(self) -> dict[str, str]:
        """The commit of each tag of `origin`."""
        lines = self.git("ls-remote", "--tags", "origin").splitlines()
        return {name.removeprefix("refs/tags/"): commit for commit, name in (line.split("\t") for line in lines)}

    def show(self, what: str) -> str:
        """What git shows of a commit of `origin`, or of a file in one."""
        return self.git("--git-dir", self._origin, "show", "--no-patch", "--format=%s|%an|%cI|%P", what)

    def run_jobs(self) -> int:
        """Run both jobs, as the runner does, each in a checkout of the head; gives the first exit code but 0."""
        # What one job uploads and the other downloads is in a folder of the runner's.
        environ = {**os.environ, "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}", "RUNNER_TEMP": str(self._temp)}
        environ |= {"RELEASES": str(self.releases), "VERSION": __version__, "IMAGE": IMAGE, "BRANCH": "main"}
        for name in ("prepare", "release"):
            self.git("checkout", "--quiet", "--force", "--detach", "main")
            for script in (step["run"] for step in JOBS[name]["steps"] if "run" in step):
                command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
                ran = subprocess.run(command, cwd=self._checkout, env=environ, capture_output=True, text=True)
                self.printed += ran.stdout
                print(ran.stdout, ran.stderr)  # noqa: T201  (shown with a test that fails)
                if ran.returncode != 0:
                    return ran.returncode
        return 0

    def git(self, *arguments: str) -> str:
        environ = {**os.environ, "GIT_COMMITTER_DATE": DATE}
        ran = subprocess.run(["git", *arguments], cwd=self._checkout, env=environ, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    # Nothing of the user's own configuration, such as a signature for every commit.
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, os.devnull)
    return Repository(tmp_path)


def test_one_commit_three_tags_one_release_however_often(repository: Repository) -> None:
    repository.push(f"refs/tags/v{MAJOR}")
    before = repository.tags()[f"v{MAJOR}"]
    # Of changes on the branch in the meantime, only those of workflows stand in the way.
    repository.push("main")
    assert repository.run_jobs() == 0
    tags = repository.tags()
    commit = tags[OWN_TAG]
    assert tags == {OWN_TAG: commit, f"v{MINOR}": commit, f"v{MAJOR}": commit}
    assert commit != before
    subject, author, date, parent = repository.show(commit).strip().split("|")
    # The date is the same each time, so that the job can be run again.
    assert (subject, author, date) == (f"Release {__version__}", "github-actions[bot]", DATE)
    assert repository.show(parent).startswith("Work|")
    assert repository.show("main").startswith("Change CHANGELOG.md|")
    assert f"image: docker://{IMAGE}" in repository.show(f"{commit}:action.yml")
    assert "image: Dockerfile" in repository.show("main:action.yml")
    assert re.match(rf"release create {OWN_TAG} --verify-tag ", repository.releases.read_text(encoding="utf-8"))
    notes = repository.releases.with_name("releases.notes").read_text(encoding="utf-8")
    assert notes == release.notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)

    assert repository.run_jobs() == 0
    assert repository.tags() == tags


def test_tag_that_exists_is_never_moved_and_nothing_else_is(repository: Repository) -> None:
    for name in (OWN_TAG, f"v{MINOR}"):
        repository.push(f"refs/tags/{name}")
    there = repository.tags()
    assert repository.run_jobs() != 0
    assert repository.tags() == there
    assert not repository.releases.exists()


def test_release_is_refused_once_the_branch_has_other_workflows(repository: Repository) -> None:
    repository.push("main", WORKFLOW)
    assert repository.run_jobs() == 1
    assert "::error::The workflows on main have changed" in repository.printed
    assert "Dispatch the release again" in repository.printed
    assert repository.tags() == {}
    assert not repository.releases.exists()
