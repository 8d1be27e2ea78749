"""The runner gets the commands that were meant and no others, whatever text they hold."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.commands import LONGEST_LINE, LONGEST_MESSAGE, WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_simulator.runner import CommandFiles
from tests.support.log import StepLog
from tests.support.runner import Command

FILES = ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


class Runner:
    """Commands on a real console, and what the runner makes of them."""

    def __init__(self, folder: Path, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self.files = CommandFiles(folder)
        self._printed = folder / "printed"
        self._descriptor = os.open(self._printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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


class TestMessages:
    """Lines, and annotations of the whole run."""

    def test_commands_are_escaped_and_read_back(self, runner: Runner) -> None:
        runner.commands.error("100 %\r\nof a, b: c::d", title="50 %: a,b\n::x")
        runner.commands.notice("Just so")
        (error, notice) = runner.read().commands
        assert error == Command("error", "100 % of a, b: c::d", {"title": "50 %: a,b ::x"})
        assert notice == Command("notice", "Just so", {})

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_annotation_is_one_line(self, tmp_path_factory: pytest.TempPathFactory, text: str, title: str) -> None:
        runner = Runner(tmp_path_factory.getbasetemp() / "one-line")
        runner.commands.warning(text, title=title)
        printed = runner.read().printed
        assert printed.startswith(b"::warning title=")
        assert printed.count(b"\n") == 1
        assert b"\r" not in printed
        assert b"##[" not in printed.split(b"::", 2)[2]

    def test_an_old_style_command_in_a_message_is_broken(self, runner: Runner) -> None:
        runner.commands.warning("Look: ##[error]x")
        assert [command.name for command in runner.read().commands] == ["warning"]

    def test_a_message_is_cut_before_the_runner_would(self, runner: Runner) -> None:
        runner.commands.error("x" * 10_000)
        (said,) = runner.read().said("error")
        assert len(said) == LONGEST_MESSAGE < 4096
        assert said.endswith("x…")

    def test_text_that_is_no_utf_8_is_printed(self, runner: Runner) -> None:
        runner.commands.info("half\ud800 of a character")
        assert runner.read().own == "half  of a character\n"

    @pytest.mark.parametrize(
        "text", ["::error::x", "  ::error::x", "\n::add-mask::x", "a\n::error::x", "a\r::error::x", "\u200b::error::x"]
    )
    @pytest.mark.parametrize("say", ["info", "debug", "notice", "warning", "error"])
    def test_text_from_elsewhere_is_no_command_of_its_own(self, tmp_path: Path, say: str, text: str) -> None:
        runner = Runner(tmp_path, RUNNER_DEBUG="1")
        getattr(runner.commands, say)(text)
        log = runner.read()
        assert [command.name for command in log.commands] == ([] if say == "info" else [say])
        assert len(log.lines) == 1

    @given(st.text() | st.text(alphabet="#[]:\n\r x\u2028\u200b"))
    def test_any_line_is_no_command(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        runner = Runner(tmp_path_factory.getbasetemp() / "any-line")
        runner.commands.info(text)
        log = runner.read()
        assert log.commands == []
        assert len(log.lines) == 1

    def test_a_line_is_cut_before_the_live_view_would_cut_it(self, runner: Runner) -> None:
        runner.commands.info("x" * 10_000)
        (line,) = runner.read().lines
        assert len(line) == LONGEST_LINE < 1024

    @pytest.mark.parametrize(
        ("environ", "shows"), [({"RUNNER_DEBUG": "1"}, True), ({"RUNNER_DEBUG": "0"}, False), ({}, False)]
    )
    def test_debug_lines_show_only_with_debug_logging(
        self, tmp_path: Path, environ: dict[str, str], shows: bool
    ) -> None:
        runner = Runner(tmp_path, **environ)
        runner.commands.debug("Inner life")
        assert runner.read().said("debug") == (["Inner life"] if shows else [])


class TestMasks:
    """`::add-mask::`."""

    def test_a_secret_is_masked(self, runner: Runner) -> None:
        runner.commands.mask("s3cret")
        assert runner.read().printed == b"::add-mask::s3cret\n"

    def test_percent_signs_in_a_secret_are_escaped(self, runner: Runner) -> None:
        runner.commands.mask("100%25")
        assert runner.read().printed == b"::add-mask::100%2525\n"

    def test_an_old_style_command_in_a_secret_is_masked_as_it_is(self, runner: Runner) -> None:
        runner.commands.mask("##[x]s3cret")
        assert runner.read().printed == b"::add-mask::##[x]s3cret\n"

    def test_a_long_secret_is_masked_whole(self, runner: Runner) -> None:
        runner.commands.mask("x" * 10_000)
        assert runner.read().said("add-mask") == ["x" * 10_000]

    @pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\n\n"])
    def test_a_secret_of_several_lines_is_masked_line_by_line(self, runner: Runner, separator: str) -> None:
        runner.commands.mask(separator.join(["-----BEGIN", "s3cret", "}", ""]))
        assert runner.read().said("add-mask") == ["-----BEGIN", "s3cret"]

    @pytest.mark.parametrize("secret", ["", " ", "\n", "e", "abc", " a "])
    def test_a_very_short_secret_is_not_masked(self, runner: Runner, secret: str) -> None:
        runner.commands.mask(secret)
        assert runner.read().printed == b""

    def test_a_mask_does_not_wait_for_the_end_of_an_unfinished_line(self, runner: Runner) -> None:
        log_of_a_job = runner.console.open_log()
        log_of_a_job.write(b"unfinished")
        runner.commands.mask("s3cret")
        log_of_a_job.write(b" s3cret\n")
        log = runner.read()
        assert log.said("add-mask") == ["s3cret"]
        assert log.printed.index(b"::add-mask::s3cret\n") < log.printed.index(b" s3cret\n")


class TestCommandFiles:
    """`GITHUB_OUTPUT`, `GITHUB_STATE`, `GITHUB_STEP_SUMMARY`."""

    def test_a_value_of_one_line_is_written_on_one(self, runner: Runner, tmp_path: Path) -> None:
        runner.commands.output("job-id", "7127b1d3")
        runner.commands.output("job-url", "https://x/y?a=b")
        assert (tmp_path / "github_output").read_bytes() == b"job-id=7127b1d3\njob-url=https://x/y?a=b\n"
        runner.read()

    def test_the_last_value_counts(self, runner: Runner) -> None:
        runner.commands.output("status", "QUEUED")
        runner.commands.output("status", "RUNNING")
        runner.read()
        assert runner.files.outputs == {"status": "RUNNING"}

    def test_state_and_outputs_are_kept_apart(self, runner: Runner) -> None:
        runner.commands.output("a", "1")
        runner.commands.save_state("b", "2")
        runner.read()
        assert (runner.files.outputs, runner.files.state) == ({"a": "1"}, {"b": "2"})

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "a=b",
            "job-id<<EOF",
            "a\nb",
            "\n",
            "a\r\nb",
            "a\rb",
            "x\njob-id=stolen",
            "x\nEOF\njob-id<<EOF\nstolen\nEOF",
            "half \ud800",
        ],
    )
    def test_a_value_stays_one_value(self, runner: Runner, value: str) -> None:
        runner.commands.output("before", "1")
        runner.commands.output("status", value)
        runner.commands.output("after", "2")
        runner.read()
        expected = {"before": "1", "status": value.replace("\ud800", "?"), "after": "2"}
        assert runner.files.outputs == expected

    @given(st.text(st.characters(exclude_categories=["Cs"])) | st.text(alphabet="=<\n\r\u2028EOF"))
    def test_any_value_stays_one_value(self, tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
        folder = tmp_path_factory.getbasetemp() / "values"
        for name in FILES:
            (folder / name.lower()).unlink(missing_ok=True)
        runner = Runner(folder)
        runner.commands.output("status", value)
        runner.read()
        assert runner.files.outputs == {"status": value}

    def test_the_delimiter_of_a_value_cannot_be_guessed(self, runner: Runner, tmp_path: Path) -> None:
        for _ in range(2):
            runner.commands.output("status", "a\nb")
        runner.read()
        first, second = re.findall(r"<<(.*)", (tmp_path / "github_output").read_text(encoding="utf-8"))
        assert first != second
        assert len(first) > 30

    def test_the_summary_is_added_to(self, runner: Runner) -> None:
        runner.commands.summarize("# One\n")
        runner.commands.summarize("# Zwöi\n")
        runner.read()
        assert runner.files.summary == "# One\n# Zwöi\n"

    def test_a_summary_that_the_runner_would_drop_is_left_out(self, runner: Runner) -> None:
        runner.commands.summarize("ü" * 600_000)
        runner.read()
        assert runner.files.summary == ""

    def test_a_runner_without_them_loses_the_values_and_nothing_else(self, tmp_path: Path) -> None:
        runner = Runner(tmp_path, GITHUB_OUTPUT="", GITHUB_STATE="", GITHUB_STEP_SUMMARY="")
        runner.commands.output("a", "1")
        runner.commands.save_state("b", "2")
        runner.commands.summarize("# One\n")
        assert runner.read().printed == b""

    def test_a_file_that_cannot_be_written_is_one_warning(self, tmp_path: Path) -> None:
        runner = Runner(tmp_path, GITHUB_OUTPUT=str(tmp_path))
        runner.commands.output("a", "1")
        runner.commands.output("b", "2")
        (warning,) = runner.read().said("warning")
        assert warning.startswith("GITHUB_OUTPUT could not be written")


class TestFindings:
    """Annotations of files."""

    def findings(self, level: Level, count: int) -> list[Finding]:
        return [Finding(level, f"Finding {n}", "pipelines/a, b:c.yml", n + 1, 5) for n in range(count)]

    def test_a_finding_is_shown_at_its_place(self, runner: Runner) -> None:
        runner.commands.annotate(self.findings(Level.WARNING, 1))
        (command,) = runner.read().commands
        assert command == Command(
            "warning", "pipelines/a, b:c.yml:1:5: Finding 0", {"file": "pipelines/a, b:c.yml", "line": "1", "col": "5"}
        )

    def test_a_finding_needs_no_place(self, runner: Runner) -> None:
        runner.commands.annotate([Finding(Level.NOTICE, "Just so")])
        assert runner.read().printed == b"::notice::Just so\n"

    @pytest.mark.parametrize("count", [9, 10, 25])
    def test_nine_findings_of_each_level_leave_room_for_the_result(self, runner: Runner, count: int) -> None:
        runner.commands.annotate(self.findings(Level.ERROR, count) + self.findings(Level.WARNING, 3))
        log = runner.read()
        assert log.said("error") == [f"pipelines/a, b:c.yml:{n + 1}:5: Finding {n}" for n in range(9)]
        assert len(log.said("warning")) == 3
        more = [line for line in log.lines if not line.startswith("::")]
        assert len(more) == (count > 9)
        assert all(f"{count - 9} more" in line for line in more)
