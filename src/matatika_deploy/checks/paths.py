"""The folders that `workspace.yml` and its overlays name."""

from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath

from matatika_deploy.checks import files
from matatika_deploy.checks.document import List, Map, Node, Scalar

# Meltano's working folder: the platform fills it (with what plugins bring along), and no repository holds it.
_GENERATED = ".meltano"
_MAX_PATHS = 100
_MAX_SIBLINGS = 1000


def listed(root: Node | None, key: str) -> list[Scalar] | None:
    """The paths under a key of a workspace file; None if it names none, and so leaves the defaults in force."""
    value = root.get(key) if isinstance(root, Map) else None
    if value is None or (isinstance(value, Scalar) and value.is_null):
        return None
    if not isinstance(value, List) or value.tagged:
        return []
    listed = (item for item in value.children[:_MAX_PATHS] if isinstance(item, Scalar))
    return [item for item in listed if not item.is_null and not item.tagged]


def follow(root: Path, workspace: Path, text: str) -> Path | None:
    """Where a path of the workspace leads in the checkout; None if nothing is there, or if it leads out."""
    return files.inside(root, workspace / _relative(text))


def is_literal(text: str) -> bool:
    """Whether a path can be looked up as it stands: it is no pattern, has no variables, and is not generated."""
    parts = PurePosixPath(_relative(text)).parts
    return not any(character in text for character in "*?[{$<") and parts[:1] != (_GENERATED,)


def closest(workspace: Path, text: str) -> str | None:
    """The path in the workspace that one which leads nowhere most likely meant."""
    found: list[str] = []
    for part in PurePosixPath(_relative(text)).parts:
        siblings = list(islice(files.names(workspace.joinpath(*found)), _MAX_SIBLINGS))
        match = [part] if part in siblings else get_close_matches(part, siblings, n=1)
        if not match:
            return None
        found += match
    return "/".join(found)


def _relative(text: str) -> str:
    return text.strip().lstrip("/")
