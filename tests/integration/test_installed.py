"""The action without Docker: `pip install` of a release's archive, as GitHub makes one of a tag.

It goes into an environment of its own, which finds what the action depends on, and what builds it, in that of the
tests: nothing is downloaded.
"""

import json
import subprocess
import sysconfig
import venv
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from matatika_deploy.version import __version__
from matatika_simulator import Simulator
from tests.support.result import StepLog
from tests.support.step import ROOT, Step

QUICK = {"based-on": "success", "job": {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}}
LOOK = """
import json, importlib.metadata, importlib.util
print(json.dumps([
    importlib.metadata.version("matatika-deploy-action"),
    *(getattr(importlib.util.find_spec(name), "origin", None) for name in ("matatika_deploy", "matatika_simulator")),
]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a commit of the work tree."""
    folder = tmp_path_factory.mktemp("archive")
    file = folder / f"v{__version__}.tar.gz"
    git = ["git", f"--git-dir={folder}/git", f"--work-tree={ROOT}"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message=Work tree"],
        ["archive", f"--prefix=matatika-deploy-action-{__version__}/", f"--output={file}", "HEAD"],
    ):
        subprocess.run([*git, *command], cwd=ROOT, check=True)
    return file


@pytest.fixture(scope="module")
def python(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment into which the archive is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", "venv", variables), "tests.pth").write_text(sysconfig.get_path("purelib"))
    interpreter = Path(sysconfig.get_path("scripts", "venv", variables), "python")
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run([interpreter, "-m", "pip", "install", *options, archive], cwd=folder, check=True)
    return str(interpreter)


def test_action_alone_is_installed_and_says_what_it_needs(python: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [python, *arguments]
        return subprocess.run(command, cwd=tmp_path, env={}, stdout=PIPE, stderr=STDOUT, text=True)

    version, action, simulator = json.loads(run("-c", LOOK).stdout)
    assert version == __version__
    assert Path(action).is_relative_to(Path(python).parents[1])
    assert simulator is None

    ran = run("-m", "matatika_deploy")
    assert ran.returncode == 2
    (error,) = StepLog(ran.stdout.encode()).of("error")
    assert "`workspace-id`" in error.data
    assert "Traceback" not in ran.stdout

    post = run("-m", "matatika_deploy.post")
    assert (post.returncode, post.stdout) == (0, "")


def test_it_deploys(python: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        here = Step(tmp_path, simulator)
        result = here.run_process(command=(python, "-m", "matatika_deploy"))
        post = here.run_process(command=(python, "-m", "matatika_deploy.post"))
        assert [job.status for job in simulator.jobs] == ["COMPLETE"]
    assert (result.code, result.log.job_log, result.outputs["outcome"]) == (0, b"INFO  Deployed\n", "success")
    assert (post.code, post.printed) == (0, b"")
