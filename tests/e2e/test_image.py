"""What is in the image, and what is not."""

import pytest

from tests.e2e.containers import Engine

BASE = "python:3.13-slim-trixie"
ACTION = "/opt/action"
MOST_BYTES_ABOVE_BASE = 5_000_000
STANDARD_LIBRARY_BYTECODE = r"find /usr -path '*/python3.13/*' -name '*.pyc' -not -path '*-packages/*' -printf '%s\n'"


@pytest.fixture(scope="module")
def files(engine: Engine, image: str) -> list[str]:
    """Every file below the action's folder, relative to it."""
    return engine.shell(image, f"cd {ACTION} && find . -type f -printf '%P\\n'").splitlines()


def _distributions(files: list[str]) -> set[str]:
    """The distributions, with their versions, whose metadata are among the files."""
    return {
        part.removesuffix(".dist-info") for path in files for part in path.split("/") if part.endswith(".dist-info")
    }


def _bytecode(engine: Engine, image: str) -> int:
    return sum(map(int, engine.shell(image, STANDARD_LIBRARY_BYTECODE).split()))


@pytest.fixture(scope="module")
def base(engine: Engine) -> str:
    """The image below the action's; some engines build on it without keeping it."""
    if not engine.has_image(BASE):
        engine.run("pull", BASE)
    return BASE


def test_is_little_more_than_its_base(engine: Engine, image: str, base: str) -> None:
    above = engine.inspect(image)["Size"] - engine.inspect(base)["Size"]
    # The official base has no bytecode of the standard library; what is imported of it is compiled for a quick start.
    compiled = _bytecode(engine, image) - _bytecode(engine, base)
    assert 0 < above - compiled <= MOST_BYTES_ABOVE_BASE


def test_starts_python_alone(engine: Engine, image: str) -> None:
    config = engine.inspect(image)["Config"]
    assert config["Entrypoint"] == [f"{ACTION}/bin/python", "-I", "-u", f"{ACTION}/entrypoint.py"]
    assert not config.get("User")
    assert not config.get("WorkingDir", "").strip("/")
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_holds_the_packages_that_are_used_and_nothing_else(files: list[str]) -> None:
    assert {distribution.split("-")[0] for distribution in _distributions(files)} == {
        "certifi",
        "idna",
        "matatika_deploy_action",
        "pyyaml",
        "requests",
        "tenacity",
        "urllib3",
    }


@pytest.mark.parametrize("unwanted", ["pip", "setuptools", "hatchling", "wheel", "tests", "test", "matatika_simulator"])
def test_holds_no_tools_and_no_tests(files: list[str], unwanted: str) -> None:
    assert not [path for path in files if unwanted in path.split("/")]


def test_keeps_the_licences(files: list[str]) -> None:
    licences = [path for path in files if ".dist-info/licenses/" in path]
    assert _distributions(licences) == _distributions(files)


def test_is_compiled(engine: Engine, image: str) -> None:
    with engine.removed_afterwards() as name:
        log = engine.run(
            *("run", "--name", name, "--entrypoint", f"{ACTION}/bin/python", image),
            *("-I", "-W", "ignore", "-c", f"{_CHECK_BYTECODE}"),
        )
    assert log.splitlines() == ["compiled"]


_CHECK_BYTECODE = f"""
import importlib.util, pathlib, struct
for source in pathlib.Path("{ACTION}/lib").rglob("*.py"):
    bytecode = pathlib.Path(importlib.util.cache_from_source(source)).read_bytes()
    # PEP 552: 1 is "has a hash, and need not be checked": valid whatever the time stamp of the source is.
    assert struct.unpack("<I", bytecode[4:8]) == (1,), source
import matatika_deploy.runtime.bootstrap, requests, sys
for module in sys.modules.values():
    cached = getattr(module, "__cached__", None)
    assert cached is None or pathlib.Path(cached).is_file(), module
print("compiled")
"""
