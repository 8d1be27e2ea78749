"""The tables of RELIABILITY.md, from the suite that holds the program to them.

`python -m tests.integration.faults.reliability` writes them into the file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.integration.faults.faults import FAULTS, Kind
from tests.integration.faults.table import EXPECTED, Rules, When

FILE: Final = Path(__file__).parents[3] / "RELIABILITY.md"

_TABLES: Final = re.compile(
    r"(?<=<!-- The tables are written by: python -m tests.integration.faults.reliability -->\n).*"
    r"(?=<!-- The end of the tables. -->)",
    re.DOTALL,
)
_CALLS: Final = {
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
    faults = [(str(kind), "; ".join(fault.name for fault in FAULTS if fault.kind is kind)) for kind in Kind]
    tables = f"\n{_table(('What happens', 'Faults'), faults)}\n{_outcomes()}\n"
    return _TABLES.sub(lambda _: tables, text)


def _outcomes() -> str:
    """What each kind of fault comes to; kinds that fare alike share a line, and so do calls."""
    calls: dict[tuple[str, ...], list[str]] = {}
    for call, rules in EXPECTED.items():
        kinds: dict[tuple[str, ...], list[str]] = {}
        for kind in Kind:
            kinds.setdefault(_cells(rules, kind), []).append(kind)
        for cells, alike in kinds.items():
            if any(cells):
                calls.setdefault((", ".join(alike), *cells), []).append(_CALLS[call])
    return _table(("Call", "What happens", *_WHENS), [(", ".join(alike), *cells) for cells, alike in calls.items()])


def _cells(rules: Rules, kind: Kind) -> tuple[str, ...]:
    return tuple(
        " or ".join(dict.fromkeys(str(rules[kind, when]) for when in whens if (kind, when) in rules))
        for whens in _WHENS.values()
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
