"""The event that started the workflow, and the branch that it is about."""

import re
from collections.abc import Mapping
from pathlib import Path

# https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
_MERGE_QUEUE = r"gh-readonly-queue/(?P<branch>.+)/pr-\d+-[0-9a-f]+"


def push_event(environ: Mapping[str, str]) -> bytes:
    """Return the event's JSON, byte for byte, if it is a push; else `{}`."""
    path = environ.get("GITHUB_EVENT_PATH")
    if environ.get("GITHUB_EVENT_NAME") == "push" and path:
        try:
            # Anything else, such as a device or a pipe, may have no end.
            if Path(path).is_file():
                return Path(path).read_bytes()
        except (OSError, ValueError):
            pass
    return b"{}"


def branch_of(ref: str) -> str | None:
    """Return a ref's branch; None for a merge queue's, which exists only while its checks run."""
    prefix, slash, name = ref.strip().partition("refs/heads/")
    return name if slash and name and not prefix and not re.fullmatch(_MERGE_QUEUE, name) else None


def kind_of_ref(ref: str) -> str:
    """Return what a ref is, if it is no branch of the user's."""
    if re.fullmatch(_MERGE_QUEUE, ref.removeprefix("refs/heads/")):
        return "a merge queue"
    return {"pull": "a pull request", "tags": "a tag"}.get(ref.removeprefix("refs/").partition("/")[0], "no branch")


def target_branch(environ: Mapping[str, str]) -> str | None:
    """Return the branch that the workflow runs for, or that a pull request or merge queue merges into."""
    ref = environ.get("GITHUB_REF", "").strip()
    if queue := re.fullmatch(_MERGE_QUEUE, ref.removeprefix("refs/heads/")):
        return queue["branch"]
    if ref.startswith("refs/pull/"):
        return environ.get("GITHUB_BASE_REF", "").strip() or None
    return branch_of(ref)
