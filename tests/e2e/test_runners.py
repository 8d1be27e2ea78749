"""The image under runners that do not start its entry point: they enter it, and call it from a shell."""

import io
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from matatika_simulator import Simulator
from tests.e2e.containers import Engine, Result, Step
from tests.support.result import StepLog

QUICK = {"based-on": "success", "job": {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Déployé"}]}}
FAILING = {"job": {"runs": "0.5s", "ends": "ERROR", "log": [{"text": "ERROR No such data component"}]}}
SCRIPT = "/__w/_temp/0f1e2d3c.sh"


class Pod:
    """A container as the runner's hooks for Kubernetes make and use it.

    Reference: `run-container-step.ts`, `utils.ts` and `index.ts` of
    https://github.com/actions/runner-container-hooks/tree/main/packages/k8s/src
    """

    def __init__(self, engine: Engine, name: str, image: str) -> None:
        """Start it, with empty volumes where a pod has them, and nothing to do."""
        self._engine, self._name = engine, name
        volumes = ("--volume", "/__w", "--volume", "/__e", "--volume", "/github")
        options = ("--network", "host", "--workdir", "/__w", "--entrypoint", "tail")
        engine.run("run", "--detach", "--name", name, *volumes, *options, image, "-f", "/dev/null")

    def copy(self, files: Mapping[str, str], to: str) -> None:
        """Copy files into it, and compare what arrived."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode, member.uid = len(text.encode()), 0o400, 1001
                archive.addfile(member, io.BytesIO(text.encode()))
        unpack = (
            f"tar xf - --no-same-owner -C {to} 2>/dev/null; "
            f"find {to} -type f -exec chmod u+rw {{}} \\; 2>/dev/null; "
            f"find {to} -type d -exec chmod u+rwx {{}} \\; 2>/dev/null"
        )
        unpacked = self.execute("sh", "-c", unpack, given=content.getvalue())
        assert (unpacked.code, unpacked.log.printed) == (0, b"")
        find = f"cd {to} && find . -type f -not -path '*/_runner_hook_responses*' -exec stat -c '%s %n' {{}} \\;"
        listing = self.execute("sh", "-c", find).log.printed.decode().splitlines()
        assert sorted(listing) == sorted(f"{len(text.encode())} ./{name}" for name, text in files.items())

    def execute(self, *command: str, given: bytes = b"") -> Result:
        """Run a command in it."""
        ran = subprocess.run(
            [self._engine.docker, "exec", "--interactive", self._name, *command],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return Result(ran.returncode, StepLog(ran.stdout))


@pytest.mark.parametrize(("scenario", "code"), [(QUICK, 0), (FAILING, 1)], ids=["success", "failure"])
def test_kubernetes(engine: Engine, image: str, tmp_path: Path, scenario: dict[str, object], code: int) -> None:
    with Simulator(scenario) as simulator, engine.removed_afterwards() as name:
        step = Step(engine, image, tmp_path, simulator)
        environ = " ".join(f'"{key}={_quoted(value)}"' for key, value in step.environ.items())
        script = (
            '#!/bin/sh -l\nrm "$0" # remove script after running\n'
            "mv /__w/_temp/_github_home /github/home && \\\n"
            "mv /__w/_temp/_github_workflow /github/workflow && \\\n"
            "mv /__w/_temp/_runner_file_commands /github/file_commands || true && \\\n"
            "mv /__w/data/data/ /github/workspace && \\\n"
            f"cd /github/workspace && \\\nexec env {environ}  /opt/action/main \n"
        )
        pod = Pod(engine, name, image)
        files = {
            SCRIPT.removeprefix("/__w/"): script,
            "_temp/_github_home/.profile": "",
            "_temp/_github_workflow/event.json": "{}",
            "data/data/workspace.yml": "version: workspaces/v0.2\n",
            **{f"_temp/_runner_file_commands/{file.name}": "" for file in (tmp_path / "file_commands").iterdir()},
        }
        pod.copy(files, "/__w")
        result = pod.execute("sh", "-e", SCRIPT)
        outputs = pod.execute("cat", "/github/file_commands/github_output").log.printed.decode()
        (job,) = simulator.jobs
    assert result.code == code, result.log.printed
    assert job.id in outputs
    assert result.log.job_log == "".join(f"{line['text']}\n" for line in scenario["job"]["log"]).encode()  # type: ignore[index]


def _quoted(value: str) -> str:
    for character in '\\"$`':
        value = value.replace(character, f"\\{character}")
    return value


def test_gitlab(engine: Engine, image: str, tmp_path: Path) -> None:
    """As GitLab's runner does it: it looks for a shell, and gives that the job's script on its standard input.

    Reference: `shells/bash.go` of https://gitlab.com/gitlab-org/gitlab-runner
    """
    shells = ("/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh")
    detect = "".join(f"if [ -x {shell} ]; then\n\texec {shell}\nel" for shell in shells)
    detect += 'if [ -x /busybox/sh ]; then\n\texec /busybox/sh\nelse\n\techo "shell not found"\n\texit 1\nfi\n'
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        given = {
            key.replace("-", "_"): value for key, value in step.environ.items() if key.startswith("INPUT_") and value
        }
        exports = "\n".join(f"export {key}={shlex.quote(value)}" for key, value in given.items())
        script = f"set -eo pipefail\nset +o noclobber\n{exports}\ncd /builds\necho '$ deploy'\n/opt/action/main\n"
        with engine.removed_afterwards() as name:
            ran = subprocess.run(
                [
                    *(engine.docker, "run", "--interactive", "--name", name, "--network", "host"),
                    *("--volume", "/builds", "--entrypoint", "sh", image, "-c", detect),
                ],
                input=f": | eval {shlex.quote(script)}\nexit 0\n".encode(),
                stdout=subprocess.PIPE,
            )
        assert ran.returncode == 0
        assert [job.status for job in simulator.jobs] == ["COMPLETE"]
    assert StepLog(ran.stdout).job_log == "INFO  Déployé\n".encode()
