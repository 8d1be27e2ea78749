"""The lock files hold what `pyproject.toml` asks for, with hashes, and name no index."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = {**PROJECT["dependency-groups"], "": PROJECT["project"]["dependencies"]}
# What each lock file is made for.
LOCKS = {"requirements.txt": [""], "requirements-demo.txt": ["", "demo"]} | {
    f"requirements-{group}.txt": [group] for group in ("test", "client", "tools", "cover", "e2e")
}


@cache
def locked(name: str) -> dict[str, str]:
    """The locked version of each distribution in a lock file, each with hashes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search("://|--index-url", text)
    versions = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+).*\\\n +--hash=sha256:", text))
    assert len(versions) == len(re.findall(r"(?m)^[^\s#]", text))
    return versions


@pytest.mark.parametrize("name", LOCKS)
def test_lock_satisfies_the_project_and_names_no_index(name: str) -> None:
    for requirement in map(Requirement, (wanted for group in LOCKS[name] for wanted in GROUPS[group])):
        assert requirement.specifier.contains(locked(name)[canonicalize_name(requirement.name)]), str(requirement)


def test_locks_agree_with_each_other() -> None:
    """One environment takes all of them, each without a look at what is there."""
    versions = {item for name in LOCKS for item in locked(name).items()}
    assert len(versions) == len(dict(versions))
    assert locked("requirements.txt").items() <= locked("requirements-demo.txt").items()
    # The archive is built with what is locked.
    assert set(PROJECT["build-system"]["requires"]) <= set(GROUPS["test"])
