"""The image under runners that do not start its entry point: they enter it, and call it from a shell."""

import io
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine, inside
from tests.support.readme import GITLAB, load
from tests.support.result import StepLog
from tests.support.step import Step

FAILING = {"job": {"runs": "0.5s", "ends": "ERROR", "log": [{"text": "ERROR Échec"}]}}
SCRIPT = "/__w/_temp/0f1e2d3c.sh"
SHELLS = ("/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh")


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
        assert self.execute("sh", "-c", unpack, given=content.getvalue()) == (0, b"")
        find = f"cd {to} && find . -type f -not -path '*/_runner_hook_responses*' -exec stat -c '%s %n' {{}} \\;"
        listing = self.execute("sh", "-c", find)[1].decode().splitlines()
        assert sorted(listing) == sorted(f"{len(text.encode())} ./{name}" for name, text in files.items())

    def execute(self, *command: str, given: bytes = b"") -> tuple[int, bytes]:
        """Run a command in it; gives its exit code and what it printed."""
        whole = [self._engine.docker, "exec", "--interactive", self._name, *command]
        ran = subprocess.run(whole, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return ran.returncode, ran.stdout


def test_kubernetes_gets_the_exit_code_the_log_and_the_outputs(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(FAILING) as simulator, engine.removed_afterwards() as name:
        step = Step(tmp_path, simulator)
        environ = " ".join(f'"{key}={_quoted(value)}"' for key, value in inside(step).items())
        script = (
            '#!/bin/sh -l\nrm "$0" # remove script after running\n'
            "mv /__w/_temp/_github_home /github/home && \\\n"
            "mv /__w/_temp/_github_workflow /github/workflow && \\\n"
            "mv /__w/_temp/_runner_file_commands /github/commands || true && \\\n"
            "mv /__w/data/data/ /github/workspace && \\\n"
            f"cd /github/workspace && \\\nexec env {environ}  /opt/action/main \n"
        )
        pod = Pod(engine, name, image)
        files = {
            SCRIPT.removeprefix("/__w/"): script,
            "_temp/_github_home/.profile": "",
            "_temp/_github_workflow/event.json": "{}",
            "data/data/workspace.yml": "version: workspaces/v0.2\n",
            **{f"_temp/_runner_file_commands/{Path(path).name}": "" for path in step.files.environ().values()},
        }
        pod.copy(files, "/__w")
        code, printed = pod.execute("sh", "-e", SCRIPT)
        outputs = pod.execute("cat", "/github/commands/github_output")[1].decode()
        (job,) = simulator.jobs
    assert code == 1, printed
    assert job.id in outputs
    assert StepLog(printed).job_log == "ERROR Échec\n".encode()


def _quoted(value: str) -> str:
    for character in '\\"$`':
        value = value.replace(character, f"\\{character}")
    return value


def test_gitlab_runs_the_example(engine: Engine, image: str) -> None:
    """As GitLab's runner does it: it looks for a shell, and gives that the job's script on its standard input.

    Reference: `shells/bash.go` of https://gitlab.com/gitlab-org/gitlab-runner
    """
    (job,) = load(GITLAB).values()
    assert job["image"]["entrypoint"] == [""]
    detect = "".join(f"if [ -x {shell} ]; then\n\texec {shell}\nel" for shell in SHELLS)
    detect += 'if [ -x /busybox/sh ]; then\n\texec /busybox/sh\nelse\n\techo "shell not found"\n\texit 1\nfi\n'
    with Simulator({}) as simulator, engine.removed_afterwards() as name:
        settings = {"$MATATIKA_CLIENT_ID": constants.CLIENT_ID, "$MATATIKA_CLIENT_SECRET": constants.CLIENT_SECRET}
        given = {key: settings.get(value, constants.WORKSPACE_ID) for key, value in job["variables"].items()}
        given |= {"INPUT_API_URL": simulator.api_url, "INPUT_AUTH_URL": simulator.auth_url}
        exports = "\n".join(f"export {key}={shlex.quote(value)}" for key, value in given.items())
        commands = "\n".join(job["script"])
        script = f"set -eo pipefail\nset +o noclobber\n{exports}\ncd /builds\necho '$ deploy'\n{commands}\n"
        ran = subprocess.run(
            [
                *(engine.docker, "run", "--interactive", "--name", name, "--network", "host"),
                *("--volume", "/builds", "--entrypoint", "sh", image, "-c", detect),
            ],
            input=f": | eval {shlex.quote(script)}\nexit 0\n",
            stdout=subprocess.PIPE,
            text=True,
        )
        assert ran.returncode == 0
        assert "\nDeployed: Job" in ran.stdout
        assert not [one for one in (constants.CLIENT_SECRET, *simulator.issued_tokens) if one in ran.stdout]
        assert [job.status for job in simulator.jobs] == ["COMPLETE"]
