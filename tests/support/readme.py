"""The documents as data: their tables, and what somebody may copy."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
NAME = "OWNER/matatika-deploy-action"
"""The action's, until it has a home: see CONTRIBUTING.md."""


def tokens(name: str) -> list[Token]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return MarkdownIt("commonmark").enable("table").parse(text)


def headings(parsed: list[Token]) -> list[str]:
    return [token.content for before, token in pairwise(parsed) if before.type == "heading_open"]


def _under(parsed: list[Token], heading: str) -> list[Token]:
    return parsed[[token.type == "inline" and token.content == heading for token in parsed].index(True) :]


def code(parsed: list[Token], language: str, heading: str) -> str:
    """The first code block of a language under a heading."""
    return next(token.content for token in _under(parsed, heading) if token.type == "fence" and token.info == language)


def table(parsed: list[Token], heading: str) -> list[list[str]]:
    """The rows of the table under a heading: their cells, as they are written."""
    rows: list[list[str]] = []
    for token, following in pairwise(_under(parsed, heading)):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        if token.type == "td_open":
            rows[-1].append(following.content)
    return [row for row in rows if row]


def load(text: str) -> Any:
    """YAML as the runner reads it: every scalar as the text that it is."""
    return yaml.load(text, yaml.BaseLoader)


README = tokens("README.md")
EXAMPLES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").iterdir())}
"""The files that somebody may copy, by their names."""
GITLAB = EXAMPLES["gitlab-ci.yml"]
WORKFLOWS = {name: text for name, text in EXAMPLES.items() if text != GITLAB}
"""Those of GitHub."""
SNIPPET = code(README, "yaml", "Quick start")
DOCKER = code(tokens("docs/platforms.md"), "bash", "Anywhere else")
