"""The lock files hold what `pyproject.toml` asks for, with hashes, and name no index."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WANTED: dict[str, list[str]] = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "requirements-demo.txt": [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["demo"]],
    "requirements-test.txt": PROJECT["dependency-groups"]["test"],
    "requirements-client.txt": PROJECT["dependency-groups"]["client"],
    "requirements-tools.txt": PROJECT["dependency-groups"]["tools"],
    "requirements-cover.txt": PROJECT["dependency-groups"]["cover"],
    "requirements-e2e.txt": PROJECT["dependency-groups"]["e2e"],
}


def _locked(name: str) -> dict[str, str]:
    """The locked version of each distribution in a lock file."""
    lines = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    locked = {}
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        pinned, *hashes = line.split("--hash=sha256:")
        requirement = Requirement(pinned)
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        assert hashes
        locked[requirement.name] = specifier.version
    return locked


@pytest.mark.parametrize("name", WANTED)
def test_lock_satisfies_the_project(name: str) -> None:
    locked = _locked(name)
    for requirement in map(Requirement, WANTED[name]):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), str(requirement)


@pytest.mark.parametrize("name", WANTED)
def test_lock_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text


def test_locks_agree_with_each_other() -> None:
    """One environment takes all of them, each without a look at what is there."""
    versions: dict[str, set[str]] = {}
    for name in WANTED:
        for package, version in _locked(name).items():
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}
    assert _locked("requirements.txt").items() <= _locked("requirements-demo.txt").items()


def test_archive_is_built_with_what_is_locked() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["test"])
