"""verify-source: does the workspace deploy what this workflow runs for?

A deployment pulls the workspace's own repository at the head of the workspace's own branch, whatever was pushed. So a
workspace of another repository or branch deploys something else, and reports success.

The variables are GitHub's: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from matatika_deploy.checks.wording import short
from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.event import branch_of, target_branch, what_runs

_GITHUB = "https://github.com"
_SHORTEST_COMMIT = 7
# Longer than any address, branch or folder, and short enough to be searched.
_LONGEST_TEXT = 4000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# host:Org/Repo.git, as ssh reads it. A single letter before the colon is a Windows drive.
_SCP = re.compile(r"(?P<host>[^/:]{2,}):(?P<path>.+)")
# What is plainly a host, and a part of a path. Anything else may be a part of a credential, so it is not shown.
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_SEGMENT = re.compile(r"[\w.-]+", re.ASCII)


class Repository(NamedTuple):
    """A repository on some server. Other parts of its address, such as a user's token, are left out.

    `path` is empty if it is not `Org/Repo`, as on servers of other kinds than GitHub.
    """

    host: str
    path: str

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read any of the forms in which repositories are addressed; None for text that is none of them.

        Paths are cut to `Org/Repo`, as GitHub's are.
        """
        url = url.strip()
        if _CONTROL.search(url) or " " in url or "\\" in url:
            return None
        try:
            host, path, is_exact = _split_url(url) if "://" in url else _split_short(url)
        except ValueError:
            return None
        segments = [segment for segment in unquote(path).split("/") if segment]
        if not _HOST.fullmatch(host):
            return None
        # www.github.com and ssh.github.com are other names of the same server.
        host = host.casefold().removeprefix("www.").removeprefix("ssh.")
        is_known = len(segments) == 2 if is_exact else len(segments) >= 2
        if not is_known or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            return cls(host, "") if "." in host else None
        organization, name = segments[:2]
        return cls(host, f"{organization}/{re.sub('[.]git$', '', name, flags=re.IGNORECASE)}")

    def is_same(self, other: "Repository") -> bool:
        """Give whether the two are one; GitHub does not distinguish upper from lower case."""
        return (self.host, self.path.casefold()) == (other.host, other.path.casefold())


def _split_url(url: str) -> tuple[str, str, bool]:
    """Give host and path, and whether the path must have two parts, since its first one may be something else."""
    parts = urlsplit(url)
    port = re.search(r":([^:@\]]*)$", parts.netloc)
    if port and port[1] and not port[1].isdecimal():
        # ssh://git@host:Org/Repo mixes ssh's two forms: the path begins where the port should be.
        return (parts.hostname or "", f"{port[1]}{parts.path}", True) if "ssh" in parts.scheme else ("", "", True)
    return (parts.hostname or "").rstrip("."), parts.path, False


def _split_short(url: str) -> tuple[str, str, bool]:
    """The same for an address without a scheme."""
    authority, slash, rest = url.partition("/")
    url = f"{authority.rpartition('@')[2]}{slash}{rest}"
    if match := _SCP.fullmatch(url):
        return match["host"], match["path"], True
    host, _, path = url.partition("/")
    return host if "." in host else "", path, False  # not a path, nor `Org/Repo`, which names no server


class Workspace(NamedTuple):
    """The parts of the platform's description of a workspace that the checks need.

    The answer also holds secrets (`deploymentSecret`, `sshPrivateKey`), which are left out. Values that are missing,
    null or of another type than documented are None; so is a `directory` that is not inside of a repository.
    """

    name: str | None
    status: str | None
    repository: Repository | None
    branch: str | None
    directory: str | None

    @classmethod
    def from_json(cls, answer: object, clean: Callable[[str], str] = str) -> Self:
        """Read the decoded JSON of `GET /workspaces/{id}`, whatever its shape.

        Arguments:
            clean: takes credentials that the answer may repeat out of its texts.
        """

        def text(key: str) -> str | None:
            value = answer.get(key) if isinstance(answer, dict) else None
            return clean(value[:_LONGEST_TEXT]) if isinstance(value, str) else None

        return cls(
            name=text("name"),
            status=text("status"),
            repository=Repository.from_url(text("repositoryUrl") or ""),
            branch=text("repositoryBranch"),
            directory=_folder(text("repositoryDirectory") or ""),
        )


def compare(workspace: Workspace, env: Mapping[str, str]) -> list[Finding]:
    """Find the reasons against deploying this workspace from this workflow, before the trigger.

    Level error: the workspace is not ready, or deploys another repository or branch. Level notice: no comparison.

    Arguments:
        workspace: as the platform describes it.
        env: the runner's variables; `GITHUB_SERVER_URL`, `GITHUB_REPOSITORY`, `GITHUB_REF` and `GITHUB_BASE_REF` count.
    """
    findings = []
    if workspace.status and workspace.status.upper() != "READY":
        message = f"The workspace is not READY but {short(workspace.status)}, so a deployment is likely to fail."
        findings.append(Finding(Level.ERROR, message))
    ours, theirs = _repository(env), workspace.repository
    if not ours or not ours.path:
        why = "GITHUB_REPOSITORY does not name this one"
    elif theirs and theirs.host != ours.host:
        why = f"it lies on {short(theirs.host)}, this one on {short(ours.host)}"
    elif not theirs or not theirs.path:
        why = "the platform gives no address of a host and a path for it"
    else:
        if not theirs.is_same(ours):
            message = f"The workspace deploys {short(theirs.path)}, but this workflow runs in {short(ours.path)}."
            findings.append(Finding(Level.ERROR, message))
        return [*findings, *_compare_branch(workspace, env)]
    # A branch of the same name in another repository is another branch.
    return [*findings, _notice(f"The workspace's repository was not compared: {why}.")]


def deploys_this(workspace: Workspace, env: Mapping[str, str]) -> bool:
    """Give whether the workspace is known to deploy the repository and the branch that this workflow runs for.

    A pull request counts by its base branch and a merge queue by its target: merging is what deploys them.
    """
    ours, theirs = _repository(env), workspace.repository
    branch = target_branch(env)
    return bool(ours and theirs and ours.is_same(theirs) and branch and branch == _deployed_branch(workspace))


def compare_commit(commit_id: str | None, env: Mapping[str, str]) -> list[Finding]:
    """Compare the commit that was deployed with the one that this workflow ran for (`GITHUB_SHA`).

    Never an error, since it is deployed. A workflow for a pull request, merge queue or tag has another commit anyway.
    """
    deployed, expected = (commit_id or "").strip().lower(), env.get("GITHUB_SHA", "").strip().lower()
    length = min(len(deployed), len(expected))
    if length < _SHORTEST_COMMIT or deployed[:length] == expected[:length]:
        return []
    level = Level.WARNING if branch_of(env) else Level.NOTICE
    message = f"The commit that was deployed is {short(deployed)}, but this workflow ran for {short(expected)}."
    return [Finding(level, f"{message} The platform deploys the head of the workspace's branch.")]


def _compare_branch(workspace: Workspace, env: Mapping[str, str]) -> list[Finding]:
    branch, deployed = branch_of(env), _deployed_branch(workspace)
    what = f"branch '{short(deployed)}'" if deployed else "repository's default branch"
    if branch is None:
        other = what_runs(env)
        if other == "a pull request" and deployed and deployed == target_branch(env):
            return []
        return [_notice(f"This workflow runs for {other}; what is deployed is the head of the {what}.")]
    if not deployed:
        return [_notice(f"The workspace deploys the {what}; this workflow runs for the branch '{short(branch)}'.")]
    if deployed != branch:
        message = f"The workspace deploys the {what}, but this workflow runs for the branch '{short(branch)}'."
        return [Finding(Level.ERROR, message)]
    return []


def _deployed_branch(workspace: Workspace) -> str:
    return (workspace.branch or "").strip().removeprefix("refs/heads/")


def _notice(message: str) -> Finding:
    return Finding(Level.NOTICE, message)


def _repository(env: Mapping[str, str]) -> Repository | None:
    server = env.get("GITHUB_SERVER_URL", "").strip() or _GITHUB
    return Repository.from_url(f"{server}/{env.get('GITHUB_REPOSITORY', '')}")


def _folder(path: str) -> str | None:
    parts = [part for part in path.strip().split("/") if part not in ("", ".")]
    if not parts or ".." in parts or _CONTROL.search(path):
        return None
    return "/".join(parts)
