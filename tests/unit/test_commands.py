"""The runner gets the commands that were meant and no others, whatever text they hold."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.commands import LONGEST_LINE, LONGEST_MESSAGE, WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_simulator.runner import CommandFiles
from tests.support.result import Command, StepLog

texts = st.lists(st.text() | st.text(alphabet="#[]:,%=<EOF\n\r x\u2028\u200b"), min_size=1, max_size=20)


class Runner:
    """Commands on a real console, and what the runner makes of them."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.files = CommandFiles(folder)
        self._printed = folder / "printed"
        self._descriptor = os.open(self._printed, os.O_WRONLY | os.O_CREAT)
        self.console = Console(self._descriptor)
        self.commands = WorkflowCommands({**self.files.environ(), **environ}, self.console)

    def read(self) -> StepLog:
        """Everything that was printed; nothing can be printed afterwards."""
        self.console.finish()
        os.close(self._descriptor)
        return StepLog(self._printed.read_bytes())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_annotations_are_escaped_and_read_back(tmp_path: Path) -> None:
    runner = Runner(tmp_path, RUNNER_DEBUG="0")
    runner.commands.error("100 %\r\nof a, b: c::d", title="50 %: a,b\n::x")
    runner.commands.notice("Just so")
    # It shows only with debug logging.
    runner.commands.debug("Inner life")
    assert runner.read().commands == [
        Command("error", "100 % of a, b: c::d", {"title": "50 %: a,b ::x"}),
        Command("notice", "Just so", {}),
    ]


@settings(max_examples=25)
@given(texts)
@example(["::error::x", "  ::error::x", "\n::add-mask::x", "a\n::error::x", "a\r::error::x", "\u200b::error::x"])
@example(["Look: ##[error]x", "#\u200b#[error]x", ""])
def test_any_text_is_one_line_and_no_command_of_its_own(texts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        runner = Runner(Path(folder), RUNNER_DEBUG="1")
        for text in texts:
            runner.commands.info(text)
            runner.commands.debug(text)
            runner.commands.notice(text)
            runner.commands.warning(text)
            runner.commands.error(text, title=text)
        log = runner.read()
    assert [command.name for command in log.commands] == ["debug", "notice", "warning", "error"] * len(texts)
    assert len(log.lines) == 5 * len(texts)


def test_text_that_is_too_long_or_no_utf_8_is_printed_as_far_as_it_can_be(runner: Runner) -> None:
    runner.commands.info("half\ud800 of a character")
    runner.commands.info("x" * 10_000)
    runner.commands.error("x" * 10_000)
    log = runner.read()
    assert log.lines[0] == "half  of a character"
    # Before the live view and the runner would cut it.
    assert len(log.lines[1]) == LONGEST_LINE < 1024
    (said,) = log.said("error")
    assert len(said) == LONGEST_MESSAGE < 4096
    assert said.endswith("x…")


@pytest.mark.parametrize(
    ("secret", "masked"),
    [
        ("s3cret", ["s3cret"]),
        ("100%25", ["100%25"]),
        ("##[x]s3cret", ["##[x]s3cret"]),
        ("x" * 10_000, ["x" * 10_000]),
        # Line by line, but for lines so short that they would blot out half of the log.
        ("-----BEGIN\ns3cret\r\n\r\nanother\r}\n", ["-----BEGIN", "s3cret", "another"]),
        *((secret, []) for secret in ("", "\n", "abc", " a  ")),
    ],
)
def test_each_line_of_a_secret_is_masked_as_it_is_and_at_once(runner: Runner, secret: str, masked: list[str]) -> None:
    job_log = runner.console.open_log()
    job_log.write(b"unfinished")
    runner.commands.mask(secret)
    # Only a runner obeys it: elsewhere the secret would be printed.
    WorkflowCommands({"GITHUB_TOKEN": "x", "CI": "true"}, runner.console).mask(secret)
    job_log.write(b" line\n")
    log = runner.read()
    assert log.commands == [Command("add-mask", line) for line in masked]
    assert log.printed.rfind(b"::add-mask::") < log.printed.index(b" line\n")


def test_outputs_state_and_summary_go_to_files_of_their_own(runner: Runner, tmp_path: Path) -> None:
    runner.commands.output("job-url", "https://x/y?a=b")
    runner.commands.output("status", "QUEUED")
    runner.commands.output("status", "RUNNING")
    runner.commands.save_state("b", "2")
    runner.commands.summarize("# One\n")
    runner.commands.summarize("# Zwöi\n")
    # One that the runner would drop whole is left out.
    runner.commands.summarize("ü" * 600_000)
    assert runner.read().printed == b""
    lines = (tmp_path / "github_output").read_bytes().splitlines()
    assert lines == [b"job-url=https://x/y?a=b", b"status=QUEUED", b"status=RUNNING"]
    assert (runner.files.state, runner.files.summary) == ({"b": "2"}, "# One\n# Zwöi\n")


@settings(max_examples=25)
@given(texts)
@example(["", "a=b", "job-id<<EOF", "a\nb", "\n", "a\r\nb", "a\rb", "half \ud800", "a\u2028b", "a\x85b"])
@example(["x\nn0=stolen", "x\nEOF\nn0<<EOF\nstolen\nEOF"])
def test_any_value_stays_one_value(texts: list[str]) -> None:
    values = {f"n{number}": text for number, text in enumerate(texts)}
    with TemporaryDirectory() as folder:
        runner = Runner(Path(folder))
        for name, value in values.items():
            runner.commands.output(name, value)
        runner.read()
        assert runner.files.outputs == {name: value.replace("\ud800", "?") for name, value in values.items()}
        # Nobody can guess what ends a value.
        ends = re.findall(r"<<(end-[0-9a-f]{32})$", (Path(folder) / "github_output").read_text("utf-8"), re.MULTILINE)
        assert len(set(ends)) == len(ends)


def test_file_that_is_not_there_loses_the_values_and_one_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    runner = Runner(tmp_path, GITHUB_OUTPUT=str(tmp_path), GITHUB_STATE="", GITHUB_STEP_SUMMARY="")
    for name in ("a", "b"):
        runner.commands.output(name, "1")
        runner.commands.save_state(name, "1")
        runner.commands.summarize("# One\n")
    (warning,) = [command.data for command in runner.read().commands]
    assert warning.startswith("GITHUB_OUTPUT could not be written")


@pytest.mark.parametrize(("count", "more"), [(9, []), (10, ["1 more"]), (25, ["16 more"])])
def test_nine_findings_of_each_level_are_shown_at_their_places(runner: Runner, count: int, more: list[str]) -> None:
    errors = [Finding(Level.ERROR, f"Finding {number}") for number in range(count)]
    runner.commands.annotate([*errors, Finding(Level.WARNING, "Odd", "pipelines/a, b:c.yml", 1, 5)])
    log = runner.read()
    assert log.of("error") == [Command("error", f"Finding {number}") for number in range(9)]
    place = {"file": "pipelines/a, b:c.yml", "line": "1", "col": "5"}
    assert log.of("warning") == [Command("warning", "pipelines/a, b:c.yml:1:5: Odd", place)]
    assert re.findall(r"^\.\.\. and (\d+ more)", log.own, re.MULTILINE) == more
