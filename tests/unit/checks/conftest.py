"""A repository to check, written down as file names and contents."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from matatika_deploy.checks import preflight
from matatika_deploy.findings import Finding, Level

Content = str | bytes
Check = Callable[[Mapping[str, Content]], list[Finding]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, Content]], Path]:
    """Writes files into a checkout, and returns its root."""
    root = tmp_path / "checkout"
    root.mkdir()

    def write(files: Mapping[str, Content]) -> Path:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture
def check(write: Callable[[Mapping[str, Content]], Path]) -> Check:
    """Checks a repository of such files, with the workspace at its root."""
    return lambda files: preflight.check(write(files)).findings


@pytest.fixture
def check_one(check: Check) -> Callable[[str, Content], Finding]:
    """Checks a repository of one file with one mistake."""

    def check_one(name: str, content: Content) -> Finding:
        findings = check({name: content})
        assert len(findings) == 1, findings
        assert findings[0].file == name
        return findings[0]

    return check_one


@pytest.fixture
def errors(check: Check) -> Check:
    """The same for the findings of level error alone."""
    return lambda files: [finding for finding in check(files) if finding.level is Level.ERROR]
