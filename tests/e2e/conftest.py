"""What the end-to-end tests share: an engine, the image, a copy of the work tree."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.containers import DOCKER, Engine
from tests.e2e.workflow_run import commit_all, copy_files

ROOT = Path(__file__).parents[2]
FOR_WORKFLOWS = ("action.yml", ".github/workflows", "tests/e2e/workflows", "src/matatika_simulator/workspace")
"""What the tests' workflows use of a checkout: act copies it file by file into each job."""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that `docker` finds; without one the run ends here, and fails."""
    if DOCKER is None:
        pytest.exit("the end-to-end tests need a container engine: there is no `docker` on PATH", returncode=1)
    answer = subprocess.run([DOCKER, "version"], capture_output=True, text=True)
    if answer.returncode != 0:
        pytest.exit(f"the end-to-end tests need a container engine: {answer.stderr.strip()}", returncode=1)
    return Engine(DOCKER)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose one commit is the work tree, without what git ignores."""
    copy = tmp_path_factory.mktemp("checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listing.stdout.decode().rstrip("\0").split("\0")
    copy_files(ROOT, copy, [name for name in names if (ROOT / name).is_file()])
    commit_all(copy)
    return copy


@pytest.fixture(scope="session")
def image(engine: Engine, checkout: Path) -> str:
    """The action's image, built from the Dockerfile."""
    return engine.build(checkout, "matatika-deploy-action:e2e")


@pytest.fixture(scope="session")
def released(checkout: Path, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of what workflows use, as a release has it: `action.yml` names an image that is built already."""
    copy = tmp_path_factory.mktemp("released")
    copy_files(checkout, copy, FOR_WORKFLOWS)
    action = copy / "action.yml"
    text = action.read_text(encoding="utf-8")
    assert text.count("image: Dockerfile\n") == 1
    action.write_text(text.replace("image: Dockerfile\n", f"image: docker://{image}\n"), encoding="utf-8")
    commit_all(copy)
    return copy
