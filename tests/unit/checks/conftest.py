"""What the tests of the checks share: a checkout to fill with files."""

from functools import partial
from pathlib import Path

import pytest

from matatika_deploy.checks import preflight
from tests.support.repository import Check, Write, write_files


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files into a checkout, and returns its root."""
    return partial(write_files, tmp_path / "checkout")


@pytest.fixture
def check(write: Write) -> Check:
    """Checks a repository of such files, with the workspace at its root."""
    return lambda files: preflight.check(write(files)).findings
