"""The time for text from elsewhere grows no faster than the text: no small input keeps a step busy for minutes."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

import matatika_deploy
from matatika_deploy.checks import document
from matatika_deploy.checks.budget import Budget
from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.commands import _assignment
from matatika_deploy.github.log_guard import Guard
from matatika_deploy.github.summary import SummaryPage, render
from matatika_deploy.platform import links
from matatika_deploy.platform.log import LineBuffer
from matatika_deploy.platform.reason import reason
from matatika_deploy.platform.responses import http_date
from matatika_deploy.text import lines_of, name_key, one_line

# Text that this program goes back and forth over, if it does; each is repeated, and ends in something else.
PARTS: Final = (
    *(" ", "\t", "\n", "\r\n", "a", "A", "0", "_", "-", ".", "/", ":", "@", "|", "[", "\\", "$", "{", "%", "*", "日"),
    *("a:", "a.", "a/", "a b", "1:", "1.", "0h", "12:34:56", "\x1b[", "\x1b]", "\\u0000", "&#", "##[", "::", "{{"),
    *("...", "Exception in thread ", "at ", "ERROR ", "Error", "error in ", "a.exc.", "a | ", "path = ", " #", "|\n "),
    *("\u0301\u0327", "d800-", "workspace-", ".yml", "gh-readonly-queue/", "/pr-1-", "1 of ", "2023-03-23T"),
    *("Tunnel connection failed: ", '{"a":', '{"exception": "', "Runtime Error\n", "ERROR a\n\tat b\n"),
    *("timestamp='' level='a' event='", "╭─ Installation \n│ a │\n", "2024-05-01 [info] meltano      a\n", "a: 1: "),
    *("Traceback (most recent call last):\n", "2024-05-01T10:00:00Z [info     ] a cmd_type=b "),
    "Traceback (most recent call last):\nA: b\nDuring handling of the above exception, another\n",
)
# What YAML is made of. libyaml refuses the first value, so that the file is read by every parser that there is.
YAML_PARTS: Final = (
    *("| #", " #", "|\n", ">", " \n", "\n", "\r", " ", "\t", "a", "a: "),
    *("- ", "? ", "&a ", "*a ", "!t ", "'", '"', "\\"),
)
YAML_START: Final = 'a: "\\ud83d"\nb: '
METHODS: Final = {"match", "fullmatch", "search", "finditer", "findall", "split", "sub"}
SMALL: Final = 1_000
LARGE: Final = 8 * SMALL


def spent(work: Callable[[str], object], text: str) -> float:
    begin = time.process_time()
    work(text)
    return time.process_time() - begin


def assert_grows_slowly(what: str, work: Callable[[str], object], parts: Sequence[str] = PARTS) -> None:
    """A time that grew with the square would be 64 times as long."""
    for part in parts:
        small, large = (f"{part * (size // len(part))}!" for size in (SMALL, LARGE))
        took = spent(work, large)
        if took > 0.03:
            least = min(spent(work, small) for _ in range(3))
            again = min(took, spent(work, large), spent(work, large))
            assert again < 25 * max(least, 0.001), f"{what} on {part!r} repeated: {least:.4f} s, {again:.4f} s"


def calls() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield every method of a pattern of the program that the program calls."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in Path(matatika_deploy.__path__[0]).rglob("*.py"))
    modules = [module.name for module in pkgutil.walk_packages(matatika_deploy.__path__, "matatika_deploy.")]
    for module in (importlib.import_module(name) for name in modules if not name.endswith("__main__")):
        for owner in (module, *(thing for thing in vars(module).values() if isinstance(thing, type))):
            patterns = [(name, value) for name, value in vars(owner).items() if isinstance(value, re.Pattern)]
            for name, pattern in patterns:
                used = set(re.findall(rf"\b{name}\.(\w+)", source)) & METHODS
                for method in used or {"search"}:
                    yield f"{module.__name__}.{name}.{method}", partial(apply, pattern, method)


def apply(pattern: "re.Pattern[Any]", method: str, text: str) -> None:
    given: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    if method == "sub":
        pattern.sub(given[:0], given)
    elif method == "finditer":
        list(pattern.finditer(given))
    else:
        getattr(pattern, method)(given)


def test_time_of_a_pattern_grows_with_the_text_alone() -> None:
    found = dict(calls())
    assert len(found) > 40
    for name, call in found.items():
        assert_grows_slowly(name, call)


def guard(text: str) -> None:
    guarded = Guard("0123456789abcdef0123456789abcdef01234567")
    for start in range(0, len(text), 100):
        guarded.log(text[start : start + 100].encode())
        guarded.say(b"a line\n")
    guarded.end()


def buffer(text: str) -> None:
    buffered = LineBuffer()
    for start in range(0, len(text), 10):
        buffered.feed(text[start : start + 10].encode())
    buffered.resume()
    buffered.feed(text.encode())


def summarize(text: str) -> None:
    finding = Finding(Level.ERROR, text, text, 1, 2)
    render(SummaryPage("failure", text, text, text, (text,), text.encode(), findings=(finding,), commit_id=text))


WORK: Final[dict[str, Callable[[str], object]]] = {
    "one_line": one_line,
    "name_key": name_key,
    "lines_of": lambda text: lines_of(text.encode()),
    "reason": lambda text: reason(8 * text.encode()),
    "reason of lines": lambda text: reason("\n".join(text[at : at + 320] for at in range(0, len(text), 320)).encode()),
    "reason of JSON": lambda text: reason(f'{{"message": "x", "exc_info": {re.escape(text)!r}}}'.encode()),
    "summary": summarize,
    "guard": guard,
    "buffer": buffer,
    "date": http_date,
    "link": lambda text: links.resolve("https://app.example/api", text, ""),
    "query of a link": lambda text: links.resolve("https://app.example/api", f"/jobs?{text}", ""),
    "line of a log": lambda text: links.from_line(f"https://app.example/api/logs?{text}", 1),
    "output": lambda text: _assignment("name", text),
}


@pytest.mark.parametrize("name", WORK)
def test_time_grows_with_the_text_alone(name: str) -> None:
    assert_grows_slowly(name, WORK[name])


@pytest.mark.parametrize("then", YAML_PARTS)
def test_time_for_a_file_grows_with_any_two_parts_repeated(then: str) -> None:
    def read(text: str) -> None:
        text = YAML_START + text.removesuffix("!") + then * (len(text) // len(then))
        document.read(text.encode(), Budget())

    assert_grows_slowly(f"A file with {then!r}", read, YAML_PARTS)
