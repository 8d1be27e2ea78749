"""What happens before a step's module is imported: variables are dropped, and a post step may end at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.state import Stage
from matatika_deploy.runtime import bootstrap
from matatika_simulator.runner import CommandFiles, state_environ

# Prints what is imported when the process ends, though it ends by `os._exit`.
SPY = """
import json, os, sys
end = os._exit
def tell(code):
    print(json.dumps([code, [name for name in sys.modules if name not in before]]), flush=True)
    end(code)
os._exit = tell
before = set(sys.modules)
from matatika_deploy.runtime.bootstrap import run
run("matatika_deploy.post")
"""
OPENSSL = {"OPENSSL_CONF", "OPENSSL_CONF_INCLUDE", "OPENSSL_ENGINES", "OPENSSL_MODULES", "SSLKEYLOGFILE"}
STAND_IN = """
import json, os, sys
def main(environ, signals, started):
    is_start = started == sys.modules["matatika_deploy.runtime.bootstrap"].STARTED
    print(json.dumps([sorted(os.environ), "ssl" in sys.modules, is_start]), flush=True)
    return 7
"""


def _python(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environ, capture_output=True, text=True)


def _saved(folder: Path, stage: Stage) -> dict[str, str]:
    """The variables in which a stage that main has saved reaches the post step."""
    files = CommandFiles(folder)
    state.save(WorkflowCommands(files.environ(), Console(1)), stage)
    return state_environ(files.state)


@pytest.mark.parametrize("stage", [None, Stage.FINISHED])
def test_post_imports_nothing_and_says_nothing_when_main_has_finished(tmp_path: Path, stage: Stage | None) -> None:
    environ = _saved(tmp_path, stage) if stage else {}
    ran = _python("-c", SPY, environ=environ)
    code, imported = json.loads(ran.stdout)
    assert (code, ran.stderr) == (0, "")
    # An editable install may have a module of its own imported first.
    own = {"matatika_deploy", "matatika_deploy.runtime", "matatika_deploy.runtime.bootstrap", "time"}
    assert {name for name in imported if not name.startswith("_")} <= own
    as_module = _python("-m", "matatika_deploy.post", environ=environ)
    assert (as_module.returncode, as_module.stdout, as_module.stderr) == (0, "", "")


def test_post_is_run_when_main_has_not_finished(tmp_path: Path) -> None:
    *warnings, told = _python("-c", SPY, environ=_saved(tmp_path, Stage.RUNNING)).stdout.splitlines()
    assert warnings
    assert "matatika_deploy.post" in json.loads(told)[1]
    assert not {Stage.TRIGGERING, Stage.RUNNING} & set(bootstrap.STAGES_WITHOUT_POST)


def test_variables_that_openssl_obeys_are_gone_before_ssl_is_imported(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r}); "
        "from matatika_deploy.runtime.bootstrap import run; run('stand_in')"
    )
    ran = _python("-c", program, environ={"LEFT_ALONE": "x", **dict.fromkeys(OPENSSL, str(tmp_path))})
    names, is_imported, is_start = json.loads(ran.stdout)
    assert (ran.returncode, is_imported, is_start) == (7, False, True)
    assert "LEFT_ALONE" in names
    assert not OPENSSL & set(names)
