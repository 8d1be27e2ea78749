"""A repository to check, written down as names of files and their contents, and what was found in it in brief."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from matatika_deploy.findings import Finding

Files = Mapping[str, str | bytes]
Write = Callable[[Files], Path]
Check = Callable[[Files], list[Finding]]

# The first line of a file of each kind, and a whole file that is not YAML.
WORKSPACE = "version: workspaces/v0.2\n"
PIPELINE = "version: pipelines/v0.1\n"
DATASET = "version: datasets/v0.2\n"
CHANNEL = "version: channels/v0.1\n"
DATA_STORE = "version: datastores/v0.1\n"
BROKEN = "a: b: c\n"


def write_files(root: Path, files: Files) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def brief(findings: Iterable[Finding]) -> list[str]:
    """Level and file of each finding (`error pipelines/a.yml`), or its level alone if it is about no file."""
    return [f"{it.level} {it.file}" if it.file else str(it.level) for it in findings]
