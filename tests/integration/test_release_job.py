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
DOCKER = "#!/bin/sh\nexit 0\n"
GH = """#!/bin/sh
[ "$1" = release ] || exit 0
echo "$@" >>"$RELEASES"
cp "$RUNNER_TEMP/release/notes.md" "$RELEASES.notes"
"""


class Repository:
    """A repository with a clone: what `origin` and the checkout are to the job."""

    def __init__(self, folder: Path) -> None:
        self.origin, self._checkout, self._bin = folder / "origin.git", folder / "checkout", folder / "bin"
        self._temp, self.releases = folder / "temp", folder / "releases"
        self.printed = ""
        for made in (self._checkout, self._bin, self._temp):
            made.mkdir()
        for name, text in {"docker": DOCKER, "gh": GH}.items():
            (self._bin / name).write_text(text, encoding="utf-8")
            (self._bin / name).chmod(0o755)
        for name in ("action.yml", "CHANGELOG.md", "tools/release.py", "src/matatika_deploy/version.py", WORKFLOW):
            (self._checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self._checkout / name)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("add", "--all")
        self._git(*IDENTITY, "commit", "--quiet", "--message=Work", date=DATE)
        self._git("clone", "--quiet", "--bare", ".", str(self.origin))
        self._git("remote", "add", "origin", str(self.origin))

    def tag(self, name: str) -> str:
        """Put a tag on a commit of its own; gives the commit."""
        self._git(*IDENTITY, "commit", "--quiet", "--allow-empty", f"--message={name}")
        self._git("push", "--quiet", "origin", f"HEAD:refs/tags/{name}")
        self._git("fetch", "--quiet", "--tags", "origin")
        self._git("reset", "--quiet", "--hard", "HEAD~1")
        return self.tags()[name]

    def tags(self) -> dict[str, str]:
        """The commit of each tag of `origin`."""
        lines = self._git("ls-remote", "--tags", "origin").splitlines()
        return {name.removeprefix("refs/tags/"): commit for commit, name in (line.split("\t") for line in lines)}

    def show(self, what: str) -> str:
        """What git shows of a commit or a file in one."""
        return self._git("--git-dir", str(self.origin), "show", "--no-patch", "--format=%s|%an|%cI|%P", what)

    def change(self, name: str) -> None:
        """Push a change of a file to `main`, and leave the clone's own `main` where it is."""
        with (self._checkout / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        self._git(*IDENTITY, "commit", "--quiet", f"--message=Change {name}", "--", name)
        self._git("push", "--quiet", "origin", "HEAD:main")
        self._git("reset", "--quiet", "--hard", "HEAD~1")

    def run_jobs(self) -> int:
        """Run both jobs, as the runner does, each in a checkout of the head; gives the first exit code but 0."""
        return self._run_job("prepare") or self._run_job("release")

    def _run_job(self, name: str) -> int:
        self._git("checkout", "--quiet", "--force", "--detach", "main")
        environ = {
            **os.environ,
            "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}",
            # What one job uploads and the other downloads is in a folder of it.
            "RUNNER_TEMP": str(self._temp),
            "RELEASES": str(self.releases),
            "VERSION": __version__,
            "IMAGE": IMAGE,
            "BRANCH": "main",
            "GH_TOKEN": "none",
        }
        for step in JOBS[name]["steps"]:
            if "run" in step:
                command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
                ran = subprocess.run(command, cwd=self._checkout, env=environ, capture_output=True, text=True)
                self.printed += ran.stdout
                print(ran.stdout, ran.stderr)  # noqa: T201  (shown with a test that fails)
                if ran.returncode != 0:
                    return ran.returncode
        return 0

    def _git(self, *arguments: str, date: str | None = None) -> str:
        environ = os.environ | ({"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {})
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
    before = repository.tag(f"v{MAJOR}")
    # Of changes on the branch in the meantime, only those of workflows stand in the way.
    repository.change("CHANGELOG.md")
    assert repository.run_jobs() == 0
    tags = repository.tags()
    commit = tags[OWN_TAG]
    assert tags == {OWN_TAG: commit, f"v{MINOR}": commit, f"v{MAJOR}": commit}
    assert commit != before
    subject, author, date, parent = repository.show(commit).strip().split("|")
    assert (subject, author) == (f"Release {__version__}", "github-actions[bot]")
    assert date == DATE  # the same each time, so that the job can be run again
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
    there = {name: repository.tag(name) for name in (OWN_TAG, f"v{MINOR}")}
    assert repository.run_jobs() != 0
    assert repository.tags() == there
    assert not repository.releases.exists()


def test_tags_of_a_later_release_stay(repository: Repository) -> None:
    later = {name: repository.tag(name) for name in (f"v{MAJOR}.999.0", f"v{MAJOR}")}
    assert repository.run_jobs() == 0
    tags = repository.tags()
    assert tags == {**later, OWN_TAG: tags[OWN_TAG], f"v{MINOR}": tags[OWN_TAG]}


def test_release_is_refused_once_the_branch_has_other_workflows(repository: Repository) -> None:
    repository.change(WORKFLOW)
    assert repository.run_jobs() == 1
    assert "::error::The workflows on main have changed" in repository.printed
    assert "Dispatch the release again" in repository.printed
    assert repository.tags() == {}
    assert not repository.releases.exists()
