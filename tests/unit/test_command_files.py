"""Command files and inputs, as a runner reads and gives them: the tests' own reading, which others rely on."""

from pathlib import Path

import pytest

from matatika_simulator.runner import CommandFiles, input_environ, parse, state_environ

ACTION = """
inputs:
  with-default: {default: 30m}
  two words: {}
  truth: {default: true}
"""


def test_reads_values_and_blocks() -> None:
    text = "a=1\nb<<END\nx=1\n\ny\nEND\nc=<<END\nd=\na=2\n"
    assert parse(text) == {"a": "2", "b": "x=1\n\ny", "c": "<<END", "d": ""}


def test_reads_nothing_from_nothing() -> None:
    assert parse("") == {}


@pytest.mark.parametrize("text", ["no value\n", "a<<END\nnever ended\n", "a<<END\nEND2\n"])
def test_refuses_what_the_runner_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a value|is missing"):
        parse(text)


def test_names_the_files_where_the_step_finds_them(tmp_path: Path) -> None:
    files = CommandFiles(tmp_path)
    for name, path in files.environ().items():
        Path(path).write_bytes(f"{name}=é\n".encode())
    assert files.outputs == {"GITHUB_OUTPUT": "é"}
    assert files.state == {"GITHUB_STATE": "é"}
    assert files.summary == "GITHUB_STEP_SUMMARY=é\n"
    assert files.environ(Path("/github"))["GITHUB_STATE"] == "/github/github_state"


def test_gives_each_declared_input(tmp_path: Path) -> None:
    (tmp_path / "action.yml").write_text(ACTION, encoding="utf-8")
    environ = input_environ(tmp_path / "action.yml", {"truth": "no"})
    assert environ == {"INPUT_WITH-DEFAULT": "30m", "INPUT_TWO_WORDS": "", "INPUT_TRUTH": "no"}


def test_refuses_an_input_that_is_not_declared(tmp_path: Path) -> None:
    (tmp_path / "action.yml").write_text(ACTION, encoding="utf-8")
    with pytest.raises(ValueError, match="no such input: tokn"):
        input_environ(tmp_path / "action.yml", {"tokn": "x"})


def test_hands_the_state_to_the_post_step() -> None:
    assert state_environ({"job": "1"}) == {"STATE_job": "1"}
