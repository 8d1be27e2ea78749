"""The tables of RELIABILITY.md, from the suite that holds the program to them.

`python -m tests.integration.faults.reliability` writes them into the file.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from tests.integration.faults.faults import FAULTS, Kind
from tests.integration.faults.table import EXPECTED, Expected, Rules, When

Key = TypeVar("Key")
Value = TypeVar("Value")

FILE: Final = Path(__file__).parents[3] / "RELIABILITY.md"

_BEGIN: Final = "<!-- The tables are written by: python -m tests.integration.faults.reliability -->"
_END: Final = "<!-- The end of the tables. -->"
_CALLS: Final[Mapping[str, str]] = {
    "token": "access token",
    "known": "list of jobs before the trigger",
    "trigger": "trigger",
    "webhook": "trigger by webhook",
    "jobs": "list of jobs after a lost answer",
    "job": "job",
    "logs": "log",
    "withdraw": "withdrawal",
    "delete": "deletion",
    "plan": "list of pipelines for the plan",
    "pipelines": "list of pipelines before the deployment",
    "ready": "list of pipelines after the deployment",
    "earlier-runs": "list of a pipeline's jobs before its run",
    "run": "run of a pipeline",
    "runs": "list of a pipeline's jobs after a lost answer",
}
_WHENS: Final = {
    "Once": (When.ONCE,),
    "Every time": (When.ALWAYS,),
    "Although it was done": (When.ONCE_AFTER_EFFECT, When.ALWAYS_AFTER_EFFECT),
}


def written(text: str) -> str:
    """The file's text, with the tables as they should be."""
    pattern = re.compile(f"(?<={re.escape(_BEGIN)}\n).*(?={re.escape(_END)})", re.DOTALL)
    return pattern.sub(lambda _: f"\n{_faults()}\n{_outcomes()}\n", text)


def _faults() -> str:
    rows = [(str(kind), "; ".join(fault.name for fault in FAULTS if fault.kind is kind)) for kind in Kind]
    return _table(("What happens", "Faults"), rows)


def _outcomes() -> str:
    """What each kind of fault comes to; kinds that fare alike share a line, and so do calls."""
    of_calls = {
        (call, *kinds): (", ".join(kinds), *cells)
        for call, rules in EXPECTED.items()
        for kinds, cells in _alike({kind: _cells(rules, kind) for kind in Kind})
        if any(cells)
    }
    rows = [(", ".join(_CALLS[key[0]] for key in keys), *cells) for keys, cells in _alike(of_calls)]
    return _table(("Call", "What happens", *_WHENS), rows)


def _cells(rules: Rules, kind: Kind) -> tuple[str, ...]:
    found = {when: _outcome(expected) for (of_kind, when), expected in rules.items() if of_kind is kind}
    return tuple(
        " or ".join(dict.fromkeys(found[when] for when in whens if when in found)) for whens in _WHENS.values()
    )


def _outcome(expected: Expected) -> str:
    least, most = expected.requests
    count = f", {least} request{'' if least == 1 else 's'}" if least == most and least else ""
    return f"{expected.said}: exit {expected.code}{count}"


def _alike(items: Mapping[Key, Value]) -> list[tuple[list[Key], Value]]:
    """Group the keys of equal values, in the order of their first appearance."""
    groups: list[tuple[list[Key], Value]] = []
    for key, value in items.items():
        group = next((keys for keys, of_group in groups if of_group == value), None)
        if group is None:
            groups.append(([key], value))
        else:
            group.append(key)
    return groups


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
