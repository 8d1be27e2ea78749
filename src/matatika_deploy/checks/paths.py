"""The folders that `workspace.yml` and its overlays name."""

from itertools import islice
from pathlib import Path, PurePosixPath

from matatika_deploy.checks import files
from matatika_deploy.checks.document import List, Map, Node, Scalar
from matatika_deploy.checks.kinds import PLATFORM_PATHS
from matatika_deploy.checks.wording import closest

# Meltano's working folder, which no repository holds: the platform creates it when it installs plugins.
_GENERATED = ".meltano"
_MAX_PATHS = 100
_MAX_PARTS = 10
_MAX_SIBLINGS = 1000


def listed(root: Node | None, key: str) -> list[Scalar] | None:
    """Give the paths under a key of a workspace file; None if the file does not set the key."""
    value = root.get(key) if isinstance(root, Map) else None
    if value is None or (isinstance(value, Scalar) and value.is_null):
        return None
    if not isinstance(value, List) or value.tagged:
        return []
    listed = (item for item in value.children[:_MAX_PATHS] if isinstance(item, Scalar))
    return [item for item in listed if not item.is_null and not item.tagged]


def follow(root: Path, workspace: Path, text: str) -> Path | None:
    """Give what a path of the workspace leads to; None if nothing is there, or if it leads out of the checkout."""
    return files.linked(root, workspace / relative(text))


def is_literal(text: str) -> bool:
    """Give whether a path can be looked up as it is: it is no pattern and has no variables."""
    return not any(character in text for character in "*?[{$<")


def must_exist(text: str) -> bool:
    """Give whether a path is wrong if it leads to nothing: it is neither created later nor the platform's own."""
    path = PurePosixPath(relative(text)[: files.MAX_PATH_LENGTH])
    return is_literal(text) and str(path) not in PLATFORM_PATHS and not is_generated(text)


def is_generated(text: str) -> bool:
    """Give whether a path leads into a folder whose files are created when plugins are installed."""
    return _GENERATED in PurePosixPath(text[: files.MAX_PATH_LENGTH]).parts


def suggest(root: Path, workspace: Path, text: str) -> str | None:
    """Give the existing path that a misspelt one most likely means. No folder outside of the checkout is listed."""
    parts = PurePosixPath(relative(text)[: files.MAX_PATH_LENGTH]).parts
    found: list[str] = []
    for part in parts[:_MAX_PARTS]:
        folder = files.linked(root, workspace.joinpath(*found))
        if folder is None:
            return None
        siblings = sorted(name for name in islice(files.names(folder), _MAX_SIBLINGS) if not name.startswith("."))
        match = part if part in siblings or part == ".." else closest(part, siblings)
        if match is None:
            return None
        found.append(match)
    return "/".join(found) if len(parts) <= _MAX_PARTS else None


def relative(text: str) -> str:
    """Give a path as it is read relative to the workspace's folder."""
    return text.strip().lstrip("/")
