"""The action without Docker: `pip install` of a release's archive, as GitHub makes one of a tag.

It goes into an environment of its own, which finds what the action depends on, and what builds it, in that of the
tests: nothing is downloaded.
"""

import json
import subprocess
import sysconfig
import venv
from pathlib import Path

from matatika_deploy.version import __version__
from matatika_simulator import Simulator
from tests.support.result import StepLog
from tests.support.step import ROOT, Step

LOOK = """
import json, importlib.metadata, importlib.util
print(json.dumps([
    importlib.metadata.version("matatika-deploy-action"),
    *(getattr(importlib.util.find_spec(name), "origin", None) for name in ("matatika_deploy", "matatika_simulator")),
]))
"""


def archive_work_tree(folder: Path) -> Path:
    """The archive of a commit of the work tree."""
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


def install(archive: Path, folder: Path) -> Path:
    """The interpreter of an environment into which the archive is installed."""
    venv.create(folder, symlinks=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", "venv", variables), "tests.pth").write_text(sysconfig.get_path("purelib"))
    interpreter = Path(sysconfig.get_path("scripts", "venv", variables), "python")
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run([interpreter, "-m", "pip", "install", *options, archive], cwd=folder, check=True)
    return interpreter


def test_action_alone_is_installed_says_what_it_needs_and_deploys(tmp_path: Path) -> None:
    python = install(archive_work_tree(tmp_path), tmp_path / "environment")
    looked = subprocess.run([python, "-c", LOOK], cwd=tmp_path, env={}, capture_output=True, check=True)
    version, action, simulator = json.loads(looked.stdout)
    assert (version, simulator) == (__version__, None)
    assert Path(action).is_relative_to(tmp_path / "environment")

    main, post = ((str(python), "-m", f"matatika_deploy{name}") for name in ("", ".post"))
    ran = subprocess.run(main, cwd=tmp_path, env={}, stdout=subprocess.PIPE)
    assert ran.returncode == 2
    (error,) = StepLog(ran.stdout).of("error")
    assert "`workspace-id`" in error.data

    with Simulator({"job": {"log": [{"text": "INFO  Deployed"}]}}) as platform:
        here = Step(tmp_path / "step", platform)
        result, cleaned = (here.run_process(command=command) for command in (main, post))
        assert [job.status for job in platform.jobs] == ["COMPLETE"]
    assert (result.code, result.log.job_log, result.outputs["outcome"]) == (0, b"INFO  Deployed\n", "success")
    assert (cleaned.code, cleaned.printed) == (0, b"")
