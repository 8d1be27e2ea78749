"""Command files and inputs, as a runner reads and gives them: the tests' own reading, which others rely on."""

from pathlib import Path

import pytest

from matatika_simulator.runner import CommandFiles, input_environ, parse, state_environ

ACTION = "inputs:\n  with-default: {default: 30m}\n  two words: {}\n  truth: {default: true}\n"


def test_values_and_blocks_are_read() -> None:
    text = "a=1\nb<<END\nx=1\n\ny\nEND\nc=<<END\nd=\na=2\n"
    assert parse(text) == {"a": "2", "b": "x=1\n\ny", "c": "<<END", "d": ""}
    assert parse("") == {}


@pytest.mark.parametrize("text", ["no value\n", "a<<END\nnever ended\n", "a<<END\nEND2\n"])
def test_what_the_runner_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a value|is missing"):
        parse(text)


def test_files_are_named_where_the_step_finds_them(tmp_path: Path) -> None:
    files = CommandFiles(tmp_path)
    for name, path in files.environ().items():
        Path(path).write_bytes(f"{name}=é\n".encode())
    assert (files.outputs, files.state) == ({"GITHUB_OUTPUT": "é"}, {"GITHUB_STATE": "é"})
    assert files.summary == "GITHUB_STEP_SUMMARY=é\n"
    assert files.environ(Path("/github"))["GITHUB_STATE"] == "/github/github_state"
    assert state_environ(files.state) == {"STATE_GITHUB_STATE": "é"}


def test_step_gets_each_declared_input_and_no_other(tmp_path: Path) -> None:
    action = tmp_path / "action.yml"
    action.write_text(ACTION, encoding="utf-8")
    environ = input_environ(action, {"truth": "no"})
    assert environ == {"INPUT_WITH-DEFAULT": "30m", "INPUT_TWO_WORDS": "", "INPUT_TRUTH": "no"}
    with pytest.raises(ValueError, match="no such input: tokn"):
        input_environ(action, {"tokn": "x"})
