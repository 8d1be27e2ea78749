"""What the runner gets: commands that are what they say, values that stay one value, masks that mask no more."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.commands import LONGEST_MESSAGE, Workflow, plain, spell
from matatika_deploy.github.console import Console
from matatika_simulator.runner import CommandFiles
from tests.support.log import StepLog
from tests.support.runner import Command

FILES = ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


class Runner:
    """A workflow on a real console, and what the runner makes of it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self.files = CommandFiles(folder)
        self._printed = folder / "printed"
        self._descriptor = os.open(self._printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._console = Console(self._descriptor)
        self.workflow = Workflow({**self.files.environ(), **environ}, self._console)

    def read(self) -> StepLog:
        """Everything that was printed; nothing can be printed afterwards."""
        self._console.finish()
        os.close(self._descriptor)
        return StepLog(self._printed.read_bytes())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


class TestPlain:
    """Text from elsewhere, made fit for a line of ours."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Just words: 100 % of them.", "Just words: 100 % of them."),
            ("  around  ", "around"),
            ("two\nlines", "two lines"),
            ("two\r\n\r\nlines", "two lines"),
            ("tab\tand\x0bfeed\x0c", "tab and feed"),
            ("nul\x00 bell\x07 escape\x1b[31m", "nul  bell  escape [31m"),
            ("c1\x85 line\u2028 paragraph\u2029", "c1  line  paragraph"),
            ("reversed\u202e text", "reversed  text"),
            ("half\ud800 of a character", "half  of a character"),
            ("ünïcode 日本語 🎉", "ünïcode 日本語 🎉"),
            ("##[error]no", "## [error]no"),
            ("in the ##[error]middle", "in the ## [error]middle"),
            ("####[error]no", "#### [error]no"),
            ("\n::error::no", "::error::no"),
        ],
    )
    def test_is_one_line_without_commands(self, text: str, expected: str) -> None:
        assert plain(text) == expected

    def test_is_cut(self) -> None:
        assert plain("x" * 300) == "x" * 300
        assert plain("x" * 301) == "x" * 299 + "…"
        assert plain("x" * 50, limit=10) == "x" * 9 + "…"
        assert plain("x" + " " * 5000 + "y", limit=10) == "x…"

    @given(st.text() | st.text(alphabet="#[]:\n\r x\u2028"), st.integers(2, 50))
    def test_whatever_comes(self, text: str, limit: int) -> None:
        found = plain(text, limit)
        # A space goes into every `##[`.
        assert len(found) <= limit + text.count("##[")
        assert "##[" not in found
        assert found.splitlines() in ([], [found])
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", found)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (86400, "24 h 0 min"),
    ],
)
def test_durations_are_spelt_for_people(seconds: float, expected: str) -> None:
    assert spell(seconds) == expected


class TestCommands:
    """`::name key=value::data`."""

    def test_are_escaped_and_read_back(self, runner: Runner) -> None:
        runner.workflow.error("100 %\r\nof a, b: c::d", title="50 %: a,b\n::x")
        runner.workflow.notice("Just so")
        (error, notice) = runner.read().commands
        assert error == Command("error", "100 %\r\nof a, b: c::d", {"title": "50 %: a,b\n::x"})
        assert notice == Command("notice", "Just so", {})

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
    def test_are_one_line_whatever_they_say(
        self, tmp_path_factory: pytest.TempPathFactory, text: str, title: str
    ) -> None:
        runner = Runner(tmp_path_factory.getbasetemp() / "one-line")
        runner.workflow.warning(text, title=title)
        printed = runner.read().printed
        assert printed.startswith(b"::warning title=")
        assert printed.count(b"\n") == 1
        assert b"\r" not in printed
        assert b"##[" not in printed.split(b"::", 2)[2]

    def test_an_old_style_command_in_one_is_broken(self, runner: Runner) -> None:
        runner.workflow.warning("Look: ##[error]x")
        assert [command.name for command in runner.read().commands] == ["warning"]

    def test_a_message_is_cut_before_the_runner_would(self, runner: Runner) -> None:
        runner.workflow.error("x" * 10_000)
        (said,) = runner.read().said("error")
        assert len(said) == LONGEST_MESSAGE < 4096
        assert said.endswith("x…")

    def test_what_is_no_utf_8_does_not_stop_them(self, runner: Runner) -> None:
        runner.workflow.say("half \ud800")
        assert runner.read().own == "half ?\n"

    @pytest.mark.parametrize(
        ("environ", "shows"), [({"RUNNER_DEBUG": "1"}, True), ({"RUNNER_DEBUG": "0"}, False), ({}, False)]
    )
    def test_debug_lines_show_only_if_they_are_wanted(
        self, tmp_path: Path, environ: dict[str, str], shows: bool
    ) -> None:
        runner = Runner(tmp_path, **environ)
        runner.workflow.debug("Inner life")
        assert runner.read().said("debug") == (["Inner life"] if shows else [])


class TestMasks:
    """`::add-mask::`."""

    def test_a_secret(self, runner: Runner) -> None:
        runner.workflow.mask("s3cret")
        assert runner.read().printed == b"::add-mask::s3cret\n"

    def test_a_secret_with_percent_signs(self, runner: Runner) -> None:
        runner.workflow.mask("100%25")
        assert runner.read().printed == b"::add-mask::100%2525\n"

    def test_an_old_style_command_in_a_secret_stays_what_it_is(self, runner: Runner) -> None:
        runner.workflow.mask("##[x]s3cret")
        assert runner.read().printed == b"::add-mask::##[x]s3cret\n"

    def test_a_long_secret_is_masked_whole(self, runner: Runner) -> None:
        runner.workflow.mask("x" * 10_000)
        assert runner.read().said("add-mask") == ["x" * 10_000]

    @pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\n\n"])
    def test_a_secret_of_several_lines_is_masked_line_by_line(self, runner: Runner, separator: str) -> None:
        runner.workflow.mask(separator.join(["-----BEGIN", "s3cret", "}", ""]))
        assert runner.read().said("add-mask") == ["-----BEGIN", "s3cret"]

    @pytest.mark.parametrize("secret", ["", " ", "\n", "e", "abc", " a "])
    def test_what_would_blot_out_half_of_the_log_is_not_masked(self, runner: Runner, secret: str) -> None:
        runner.workflow.mask(secret)
        assert runner.read().printed == b""


class TestCommandFiles:
    """`GITHUB_OUTPUT`, `GITHUB_STATE`, `GITHUB_STEP_SUMMARY`."""

    def test_plain_values_are_plain_lines(self, runner: Runner, tmp_path: Path) -> None:
        runner.workflow.output("job-id", "7127b1d3")
        runner.workflow.output("job-url", "https://x/y?a=b")
        assert (tmp_path / "github_output").read_bytes() == b"job-id=7127b1d3\njob-url=https://x/y?a=b\n"
        runner.read()

    def test_the_last_value_counts(self, runner: Runner) -> None:
        runner.workflow.output("status", "QUEUED")
        runner.workflow.output("status", "RUNNING")
        runner.read()
        assert runner.files.outputs == {"status": "RUNNING"}

    def test_state_and_outputs_are_kept_apart(self, runner: Runner) -> None:
        runner.workflow.output("a", "1")
        runner.workflow.save_state("b", "2")
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
        runner.workflow.output("before", "1")
        runner.workflow.output("status", value)
        runner.workflow.output("after", "2")
        runner.read()
        expected = {"before": "1", "status": value.replace("\ud800", "?"), "after": "2"}
        assert runner.files.outputs == expected

    @given(st.text(st.characters(exclude_categories=["Cs"])) | st.text(alphabet="=<\n\r\u2028EOF"))
    def test_whatever_the_value(self, tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
        folder = tmp_path_factory.getbasetemp() / "values"
        for name in FILES:
            (folder / name.lower()).unlink(missing_ok=True)
        runner = Runner(folder)
        runner.workflow.output("status", value)
        runner.read()
        assert runner.files.outputs == {"status": value}

    def test_the_delimiter_of_a_value_is_no_one_s_to_guess(self, runner: Runner, tmp_path: Path) -> None:
        for _ in range(2):
            runner.workflow.output("status", "a\nb")
        runner.read()
        first, second = re.findall(r"<<(.*)", (tmp_path / "github_output").read_text(encoding="utf-8"))
        assert first != second
        assert len(first) > 30

    def test_the_summary_is_added_to(self, runner: Runner) -> None:
        runner.workflow.summarize("# One\n")
        runner.workflow.summarize("# Zwöi\n")
        runner.read()
        assert runner.files.summary == "# One\n# Zwöi\n"

    def test_a_summary_that_the_runner_would_drop_is_left_out(self, runner: Runner) -> None:
        runner.workflow.summarize("ü" * 600_000)
        runner.read()
        assert runner.files.summary == ""

    def test_a_runner_without_them_loses_the_values_and_nothing_else(self, tmp_path: Path) -> None:
        runner = Runner(tmp_path, GITHUB_OUTPUT="", GITHUB_STATE="", GITHUB_STEP_SUMMARY="")
        runner.workflow.output("a", "1")
        runner.workflow.save_state("b", "2")
        runner.workflow.summarize("# One\n")
        assert runner.read().printed == b""

    def test_one_that_cannot_be_written_is_one_warning(self, tmp_path: Path) -> None:
        runner = Runner(tmp_path, GITHUB_OUTPUT=str(tmp_path))
        runner.workflow.output("a", "1")
        runner.workflow.output("b", "2")
        (warning,) = runner.read().said("warning")
        assert warning.startswith("GITHUB_OUTPUT could not be written")


class TestFindings:
    """Annotations for files."""

    def findings(self, level: Level, count: int) -> list[Finding]:
        return [Finding(level, f"Finding {n}", "pipelines/a, b:c.yml", n + 1, 5) for n in range(count)]

    def test_carry_their_place(self, runner: Runner) -> None:
        runner.workflow.annotate(self.findings(Level.WARNING, 1))
        (command,) = runner.read().commands
        assert command == Command("warning", "Finding 0", {"file": "pipelines/a, b:c.yml", "line": "1", "col": "5"})

    def test_need_no_place(self, runner: Runner) -> None:
        runner.workflow.annotate([Finding(Level.NOTICE, "Just so")])
        assert runner.read().printed == b"::notice::Just so\n"

    @pytest.mark.parametrize("count", [9, 10, 25])
    def test_nine_of_each_level_leave_room_for_the_result(self, runner: Runner, count: int) -> None:
        runner.workflow.annotate(self.findings(Level.ERROR, count) + self.findings(Level.WARNING, 3))
        log = runner.read()
        assert log.said("error") == [f"Finding {n}" for n in range(9)]
        assert log.said("warning") == [f"Finding {n}" for n in range(3)]
        more = [line for line in log.lines if not line.startswith("::")]
        assert len(more) == (count > 9)
        assert all(f"{count - 9} more" in line for line in more)
