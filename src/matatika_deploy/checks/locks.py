"""Plugins of `meltano.yml` without a lock file, which Meltano does not install in a deployment, without a word.

https://docs.meltano.com/concepts/plugins/#lock-artifacts
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from matatika_deploy.checks import files
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.document import List, Map, Node, Scalar

_SUFFIX = ".lock"
_FOLDER_NAME = re.compile(r"[a-z][a-z_-]{0,40}")
_MAX_LOCK_FILES = 10_000
_MAX_PLUGINS = 1000


def without_lock(root: Node | None, workspace: Path, budget: Budget) -> Iterator[tuple[str, Scalar, bool]]:
    """Give the plugins without a lock file, in a workspace that has lock files at all.

    Arguments:
        root: of `meltano.yml`.
        workspace: the folder of the Meltano project.
        budget: of the whole check.

    Returns:
        Each plugin's type (`extractors`), its name, and whether it is a custom one, defined in `meltano.yml` itself.
    """
    plugins = root.get("plugins") if isinstance(root, Map) else None
    if not isinstance(plugins, Map):
        return
    locked = {kind: _locked(workspace / "plugins" / kind) for kind in _folders(workspace / "plugins")}
    if not any(locked.values()):
        return
    for kind, listed in plugins.entries():
        if not isinstance(listed, List) or not _FOLDER_NAME.fullmatch(kind.text):
            continue
        for plugin in listed.children[:_MAX_PLUGINS]:
            if budget.is_spent:
                return
            name = plugin.get("name") if isinstance(plugin, Map) else None
            if not isinstance(plugin, Map) or not isinstance(name, Scalar) or name.tagged or name.is_null:
                continue
            if plugin.get("inherit_from") is None and name.text not in locked.get(kind.text, ()):
                yield kind.text, name, plugin.get("namespace") is not None


def _folders(plugins: Path) -> list[str]:
    return [name for name in islice(files.names(plugins), 100) if _FOLDER_NAME.fullmatch(name)]


def _locked(folder: Path) -> set[str]:
    """Give the names of the plugins with a lock file, `<name>.lock` or `<name>--<variant>.lock`."""
    found = set()
    for file in islice(files.names(folder), _MAX_LOCK_FILES):
        if file.endswith(_SUFFIX):
            name = file.removesuffix(_SUFFIX)
            found |= {name, name.partition("--")[0], name.rpartition("--")[0]}
    return found
