"""The command that puts the repository's name in the place of the placeholder."""

import re
import subprocess
from pathlib import Path

import pytest

from tools import home

ROOT = Path(__file__).parents[2]
NAME = "Octo-Org/Deploy.it"


def test_name_takes_the_place_of_the_placeholder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of the project."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), tracked.splitlines()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for command in (("init", "--quiet"), ("add", "--all", "--intent-to-add")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(home, "ROOT", tmp_path)
    assert home.main([NAME]) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".git/" not in str(path)]
    texts = {str(path.relative_to(tmp_path)): path.read_bytes().decode("utf-8", "replace") for path in files}
    assert not [name for name, text in texts.items() if re.search(r"\bOWNER\b", text)]
    images = re.findall(r"ghcr\.io/octo[\w./-]*", "\n".join(texts.values()), re.IGNORECASE)
    assert set(images) == {"ghcr.io/octo-org/deploy.it"}
    assert f"uses: {NAME}/.github/workflows/deploy-workspaces.yml@v1" in texts["examples/fleet.yml"]
    # The README gets its badges, and loses the explanation of the placeholder.
    assert f"](https://github.com/{NAME}/actions/workflows/ci.yml)" in texts["README.md"]
    assert not [part for part in ("<!--", "`OWNER` stands for", "\n\n\n") if part in texts["README.md"]]
    # The command leaves with its test and its instruction.
    assert not {"tools/home.py", "tests/unit/test_home.py"} & texts.keys()
    assert "tools.home" not in texts["CONTRIBUTING.md"]


def test_another_thing_than_a_repository_is_refused() -> None:
    for name in ("octo", "octo/", "/deploy", "octo/de ploy", "octo/deploy/x", "-octo/deploy"):
        with pytest.raises(SystemExit):
            home.main([name])
