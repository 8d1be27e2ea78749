"""What a workflow's runner gives to a step of an action and takes back from it, as far as demo and tests play it.

Reference: https://docs.github.com/actions/reference/workflow-commands-for-github-actions#environment-files
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from matatika_simulator import constants

_COMMAND_FILES: Final = ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


class CommandFiles:
    """The files through which one step hands on its outputs, its state and its summary."""

    def __init__(self, folder: Path) -> None:
        """Make the files, empty, in a folder that exists."""
        self._folder = folder
        for name in _COMMAND_FILES:
            self._path(name).touch()

    def environ(self, folder: Path | None = None) -> dict[str, str]:
        """The variables that name them; `folder` is where the step finds them, if that is another place than here."""
        return {name: str((folder or self._folder) / self._path(name).name) for name in _COMMAND_FILES}

    @property
    def outputs(self) -> dict[str, str]:
        """What the step wrote for the next ones."""
        return parse(self._text("GITHUB_OUTPUT"))

    @property
    def state(self) -> dict[str, str]:
        """What the step wrote for its post step."""
        return parse(self._text("GITHUB_STATE"))

    @property
    def summary(self) -> str:
        """The step's Markdown page."""
        return self._text("GITHUB_STEP_SUMMARY")

    def _path(self, name: str) -> Path:
        return self._folder / name.lower()

    def _text(self, name: str) -> str:
        return self._path(name).read_bytes().decode()


def parse(text: str) -> dict[str, str]:
    """Read a command file's `name=value` lines and `name<<delimiter` blocks; the last value of a name counts.

    Raises `ValueError` where the runner would fail the step.
    """
    values = {}
    lines = iter(text.removesuffix("\n").split("\n") if text else ())
    for line in lines:
        if not line:
            continue
        name, equals, value = line.partition("=")
        block, heredoc, delimiter = line.partition("<<")
        if heredoc and len(block) < len(name):
            name, value = block, _block(lines, delimiter)
        elif not equals:
            raise ValueError(f"neither a value nor the start of one: {line!r}")
        values[name] = value
    return values


def _block(lines: Iterator[str], delimiter: str) -> str:
    block: list[str] = []
    for line in lines:
        if line == delimiter:
            return "\n".join(block)
        block.append(line)
    raise ValueError(f"the delimiter {delimiter!r} is missing")


class StepFolder:
    """All that a runner lays out for one step: the checkout, the event, the command files, and the environment."""

    def __init__(self, folder: Path, action: Path, inputs: Mapping[str, str]) -> None:
        """Make it, with an empty checkout and an event that says nothing, in a folder that need not exist.

        `action` is the `action.yml`; `inputs` as for `input_environ`.
        """
        self.workspace, self.event = folder / "workspace", folder / "event.json"
        for path in (self.workspace, folder / "home", folder / "commands"):
            path.mkdir(parents=True, exist_ok=True)
        self.event.write_bytes(b"{}")
        self.files = CommandFiles(folder / "commands")
        self.environ = {
            "PATH": os.environ["PATH"],
            **github_environ(str(self.workspace), str(self.event), str(folder / "home")),
            **self.files.environ(),
            **input_environ(action, inputs),
        }


def github_environ(workspace: str, event: str, home: str) -> dict[str, str]:
    """The runner's own variables, for a push to the branch that the simulated workspace deploys.

    The arguments are paths as the step sees them: of the checkout, of the event's JSON, and of the home folder.
    """
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": event,
        "GITHUB_REF": f"refs/heads/{constants.REPOSITORY_BRANCH}",
        "GITHUB_REPOSITORY": constants.REPOSITORY_URL.removeprefix("https://github.com/"),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": constants.COMMIT_ID,
        "GITHUB_WORKSPACE": workspace,
        "HOME": home,
    }


def input_environ(action: Path, given: Mapping[str, str]) -> dict[str, str]:
    """An `INPUT_*` for each input that `action.yml` declares: the given value, else the default, else "".

    Raises `ValueError` for an input that is not declared.
    """
    declared = _declared_inputs(action)
    if unknown := given.keys() - declared.keys():
        raise ValueError(f"no such input: {', '.join(sorted(unknown))}")
    return {
        f"INPUT_{name.replace(' ', '_').upper()}": given.get(name, str(about.get("default", "")))
        for name, about in declared.items()
    }


@cache
def _declared_inputs(action: Path) -> Mapping[str, Any]:
    """What `action.yml` says of each input, read once: parsing YAML takes longer than many a simulated step."""
    inputs: Mapping[str, Any] = yaml.safe_load(action.read_text(encoding="utf-8"))["inputs"]
    return inputs


def state_environ(state: Mapping[str, str]) -> dict[str, str]:
    """What the post step gets of the main step's state."""
    return {f"STATE_{name}": value for name, value in state.items()}
