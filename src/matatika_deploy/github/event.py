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


def branch_of(environ: Mapping[str, str]) -> str | None:
    """Return the branch that the workflow runs for; None for a pull request, and for a merge queue's own branch."""
    prefix, slash, name = environ.get("GITHUB_REF", "").strip().partition("refs/heads/")
    is_branch = slash and name and not prefix and not re.fullmatch(_MERGE_QUEUE, name)
    return name if is_branch and not _base(environ) else None


def what_runs(environ: Mapping[str, str]) -> str:
    """Return what the workflow runs for, if that is no branch."""
    ref = environ.get("GITHUB_REF", "").strip()
    if re.fullmatch(_MERGE_QUEUE, ref.removeprefix("refs/heads/")):
        return "a merge queue"
    kind = "pull" if _base(environ) else ref.removeprefix("refs/").partition("/")[0]
    return {"pull": "a pull request", "tags": "a tag"}.get(kind, "no branch")


def target_branch(environ: Mapping[str, str]) -> str | None:
    """Return the branch that the workflow runs for, or that a pull request or merge queue merges into."""
    queue = re.fullmatch(_MERGE_QUEUE, environ.get("GITHUB_REF", "").strip().removeprefix("refs/heads/"))
    return _base(environ) or (queue["branch"] if queue else branch_of(environ))


def _base(environ: Mapping[str, str]) -> str | None:
    """Return the branch that a pull request merges into. For `pull_request_target`, the ref is the default branch."""
    return environ.get("GITHUB_BASE_REF", "").strip() or None
