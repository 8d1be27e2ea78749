"""The command that puts the repository's name in the place of the placeholder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import home

ROOT = Path(__file__).parents[2]
NAME = "Octo-Org/Deploy.it"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project, after the command was run in it."""
    clone = tmp_path_factory.mktemp("moved")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    for command in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=clone, check=True)
    subprocess.run([sys.executable, "-m", "tools.home", NAME], cwd=clone, env={}, check=True)
    return clone


def _texts(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".git/" not in str(path)]
    return {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}


def test_no_placeholder_is_left(moved: Path) -> None:
    assert not [name for name, text in _texts(moved).items() if re.search(r"\bOWNER\b", text)]


def test_images_are_named_in_lower_case(moved: Path) -> None:
    found = [re.findall(r"ghcr\.io/octo[\w./-]*", text, re.IGNORECASE) for text in _texts(moved).values()]
    assert {name for names in found for name in names} == {"ghcr.io/octo-org/deploy.it"}


def test_workflows_use_the_action_by_its_name(moved: Path) -> None:
    used = re.findall(r"uses: (\S+)", (moved / "examples/fleet.yml").read_text(encoding="utf-8"))
    assert f"{NAME}/.github/workflows/deploy-workspaces.yml@v1" in used


def test_readme_gets_its_badges_and_loses_the_explanation(moved: Path) -> None:
    readme = (moved / "README.md").read_text(encoding="utf-8")
    assert f"](https://github.com/{NAME}/actions/workflows/ci.yml)" in readme
    assert f"img.shields.io/github/license/{NAME}" in readme
    assert "<!--" not in readme
    explained = "`OWNER` stands for"
    assert explained in (ROOT / "README.md").read_text(encoding="utf-8")
    assert explained not in readme


def test_the_command_leaves_with_its_test_and_its_instruction(moved: Path) -> None:
    assert not (moved / "tools/home.py").exists()
    assert not (moved / "tests/unit/test_home.py").exists()
    assert "tools.home" not in (moved / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["octo", "octo/", "/deploy", "octo/de ploy", "octo/deploy/x", "-octo/deploy"])
def test_another_thing_than_a_repository_is_refused(name: str) -> None:
    with pytest.raises(SystemExit):
        home.main([name])
