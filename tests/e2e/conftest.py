"""What the end-to-end tests share: an engine, the image, a copy of the work tree."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.containers import DOCKER, Engine
from tests.e2e.workflow_run import commit_all, copy_files
from tests.support.readme import NAME, ROOT

FLEETS = ".github/workflows/deploy-workspaces.yml"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that `docker` finds; without one the run ends here, and fails."""
    if DOCKER is None or subprocess.run([DOCKER, "version"], stdout=subprocess.DEVNULL).returncode != 0:
        pytest.exit("the end-to-end tests need a container engine that `docker` on PATH can use", returncode=1)
    return Engine(DOCKER)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose one commit is the work tree, without what git ignores."""
    copy = tmp_path_factory.mktemp("checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    names = listing.stdout.decode().rstrip("\0").split("\0")
    copy_files(ROOT, copy, [name for name in names if (ROOT / name).is_file()])
    commit_all(copy)
    return copy


@pytest.fixture(scope="session")
def image(engine: Engine, checkout: Path) -> str:
    engine.run("build", "--tag", "matatika-deploy-action:e2e", str(checkout))
    return "matatika-deploy-action:e2e"


@pytest.fixture(scope="session")
def released(checkout: Path, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of what workflows use, no more, since act copies it file by file into each job.

    As in a release, `action.yml` names an image that is built already. The reusable workflow uses the action beside it.
    """
    copy = tmp_path_factory.mktemp("released")
    copy_files(checkout, copy, ("action.yml", FLEETS, "tests/e2e/workflows", "src/matatika_simulator/workspace"))
    changes = {
        "action.yml": ("image: Dockerfile", f"image: docker://{image}"),
        FLEETS: (f"uses: {NAME}@v1", "uses: ./"),
    }
    for name, (old, new) in changes.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    commit_all(copy)
    return copy
