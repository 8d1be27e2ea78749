"""Which pipelines `triggered_by` can name.

The platform's name of a pipeline is its file's path in its folder, as a slug. A `triggered_by` may also use the file's
whole path or what the file says of itself, so every plausible name is accepted, in any spelling.
"""

import re
from collections.abc import Iterator, Mapping

from matatika_deploy.checks import wording
from matatika_deploy.checks.document import List, Map, Node, Scalar
from matatika_deploy.text import name_key

#: Of one pipeline, only so many references are checked.
MAX_REFERENCES = 20

# Keys by which real pipeline files name themselves.
_NAMING_KEYS = ("name", "label", "alias", "id")
# The workspace's deployment, which is no pipeline.
_DEPLOYMENT = "deploy"
_LONGEST_NAME = 200
_TEMPLATE_OR_ID = re.compile(r"\$|\{\{|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)


def names(path: str, root: Node | None) -> Iterator[str]:
    """Give all names that a pipeline may have, given its file's path in the repository and its content."""
    name = ""
    for part in reversed(_without_suffix(path).split("/")):
        name = f"{part}/{name}" if name else part
        if len(name) > _LONGEST_NAME:
            break
        yield name
    if isinstance(root, Map):
        for key in _NAMING_KEYS:
            value = root.get(key)
            if isinstance(value, Scalar) and len(value.text) <= _LONGEST_NAME:
                yield value.text


def references(root: Node | None) -> list[Scalar]:
    """Give the names under a pipeline's `triggered_by`."""
    listed = root.get("triggered_by") if isinstance(root, Map) else None
    if not isinstance(listed, List) or listed.tagged:
        return []
    texts = (item for item in listed.children[:MAX_REFERENCES] if isinstance(item, Scalar))
    return [item for item in texts if not item.is_null and not item.tagged and _is_name(item.text)]


def normal(name: str) -> str:
    """Give the form in which names are compared: `Google (Ads)`, `google-ads` and `google_ads.yml` are one."""
    return name_key(_without_suffix(name.strip()))


def is_known(reference: str, known: Mapping[str, str]) -> bool:
    """Give whether a reference is one of some names, given by their normal form, or the workspace's deployment."""
    return normal(reference) in known or normal(reference) == _DEPLOYMENT


def suggest(reference: str, known: Mapping[str, str]) -> str | None:
    """Give the name that a misspelt reference most likely means, as it is written where it comes from."""
    found = wording.closest(normal(reference), known)
    return known[found] if found else None


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and not _TEMPLATE_OR_ID.match(text.strip())


def _without_suffix(path: str) -> str:
    return path.removesuffix(".yml").removesuffix(".yaml")
