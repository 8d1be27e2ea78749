"""The tables of RELIABILITY.md, from the suite that holds the program to them.

`python -m tests.integration.faults.reliability` writes them into the file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.integration.faults.faults import FAULTS, Kind
from tests.integration.faults.table import RULES, When

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
    rows = []
    for rule in RULES:
        ends = {when: str(end) for when, end in zip(When, rule.ends, strict=False) if end}
        cells = [" or ".join(dict.fromkeys(ends[it] for it in whens if it in ends)) for whens in _WHENS.values()]
        calls, kinds = [_CALLS[call] for call in rule.calls.split()], [Kind[kind] for kind in rule.kinds.split()]
        rows.append((", ".join(calls), ", ".join(kinds), *cells))
    return _table(("Call", "What happens", *_WHENS), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
