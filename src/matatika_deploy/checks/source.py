"""verify-source: does the workspace deploy what this workflow runs for?

A deployment pulls the workspace's own repository at the head of the workspace's own branch, whatever was pushed. So a
workspace of another repository or branch deploys something else, and reports success.

The variables are GitHub's: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from matatika_deploy.checks.wording import short
from matatika_deploy.findings import Finding, Level

_GITHUB = "https://github.com"
_SHORTEST_COMMIT = 7
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# host:Org/Repo.git, as ssh itself takes it. A single letter before the colon is a Windows drive.
_SCP = re.compile(r"(?P<host>[^/:]{2,}):(?P<path>.+)")


@dataclass(frozen=True)
class Repository:
    """A repository on some server. What else its address holds, such as a user's token, is left out."""

    host: str
    path: str

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read any of the forms in which repositories are addressed; None for what is none of them.

        Paths are cut to `Org/Repo`, which is all that GitHub's have.
        """
        url = url.strip()
        if _CONTROL.search(url) or " " in url or "\\" in url:
            return None
        try:
            host, path = _split_url(url) if "://" in url else _split_short(url)
        except ValueError:
            return None
        segments = [segment for segment in unquote(path).split("/") if segment]
        if not host or len(segments) < 2:
            return None
        organization, name = segments[:2]
        # www.github.com and ssh.github.com are other names of the same server.
        host = host.casefold().rstrip(".").removeprefix("www.").removeprefix("ssh.")
        return cls(host, f"{organization}/{re.sub('[.]git$', '', name, flags=re.IGNORECASE)}")

    def is_same(self, other: "Repository") -> bool:
        """Whether the two are one; GitHub does not tell upper from lower case."""
        return (self.host, self.path.casefold()) == (other.host, other.path.casefold())


def _split_url(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    # ssh://git@host:Org/Repo mixes ssh's two forms: where the port should be, the path begins.
    port = re.search(r":([^:@\]]+)$", parts.netloc)
    start = port[1] if port and not port[1].isdecimal() else ""
    return parts.hostname or "", f"{start}{parts.path}"


def _split_short(url: str) -> tuple[str, str]:
    authority, slash, rest = url.partition("/")
    url = f"{authority.rpartition('@')[2]}{slash}{rest}"
    if match := _SCP.fullmatch(url):
        return match["host"], match["path"]
    host, _, path = url.partition("/")
    return host if "." in host else "", path  # not a path, nor `Org/Repo`, which names no server


@dataclass(frozen=True)
class Workspace:
    """What the platform says of a workspace, as far as it may be known outside of the parser.

    The answer also holds secrets (`deploymentSecret`, `sshPrivateKey`), for which there is no place here. Whatever is
    missing, null or of another type than documented is None; so is a `directory` that is not inside of a repository.
    """

    status: str | None
    repository: Repository | None
    branch: str | None
    directory: str | None

    @classmethod
    def from_json(cls, answer: object) -> Self:
        """Read the decoded JSON of `GET /workspaces/{id}`; any shape will do."""
        fields = answer if isinstance(answer, dict) else {}
        return cls(
            status=_text(fields.get("status")),
            repository=Repository.from_url(_text(fields.get("repositoryUrl")) or ""),
            branch=_text(fields.get("repositoryBranch")),
            directory=_folder(_text(fields.get("repositoryDirectory")) or ""),
        )


def compare(workspace: Workspace, env: Mapping[str, str]) -> list[Finding]:
    """What speaks against deploying this workspace from this workflow, before it is done.

    Errors are what `verify-source: error` stops for: a workspace that is not ready, of another repository, of another
    branch. What cannot be compared is a notice.

    Arguments:
        workspace: what the platform says.
        env: the runner's variables; `GITHUB_SERVER_URL`, `GITHUB_REPOSITORY` and `GITHUB_REF` count.
    """
    findings = []
    if workspace.status and workspace.status.upper() != "READY":
        message = f"The workspace is not READY but {short(workspace.status)}, so a deployment is likely to fail."
        findings.append(Finding(Level.ERROR, message))
    ours, theirs = _repository(env), workspace.repository
    if ours is None or theirs is None:
        who = "the platform does not say which it is" if ours else "GITHUB_REPOSITORY does not say which this one is"
        findings.append(_notice(f"The workspace's repository was not compared: {who}."))
    elif theirs.host != ours.host:
        # Whatever is called like our branch over there, it is another one.
        where = f"{short(theirs.host)}, this one on {short(ours.host)}"
        return [*findings, _notice(f"The workspace's repository was not compared: it lies on {where}.")]
    elif not theirs.is_same(ours):
        message = f"The workspace deploys {short(theirs.path)}, but this workflow runs in {short(ours.path)}."
        findings.append(Finding(Level.ERROR, message))
    return [*findings, *_compare_branch(workspace, env.get("GITHUB_REF", ""))]


def compare_commit(commit_id: str | None, env: Mapping[str, str]) -> list[Finding]:
    """Whether the commit that was deployed is the one that this workflow ran for (`GITHUB_SHA`).

    Never an error, since it is deployed. A workflow that runs for a pull request or a tag has another commit anyway.
    """
    deployed, expected = (commit_id or "").strip().lower(), env.get("GITHUB_SHA", "").strip().lower()
    length = min(len(deployed), len(expected))
    if length < _SHORTEST_COMMIT or deployed[:length] == expected[:length]:
        return []
    level = Level.WARNING if _branch(env.get("GITHUB_REF", "")) else Level.NOTICE
    message = f"The commit that was deployed is {short(deployed)}, but this workflow ran for {short(expected)}."
    return [Finding(level, f"{message} The platform deploys the head of the workspace's branch.")]


def lowered(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings with warnings for errors, as `warn` wants them."""
    return [it._replace(level=Level.WARNING) if it.level is Level.ERROR else it for it in findings]


def _compare_branch(workspace: Workspace, ref: str) -> list[Finding]:
    branch = _branch(ref)
    deployed = (workspace.branch or "").strip().removeprefix("refs/heads/")
    what = f"branch '{short(deployed)}'" if deployed else "repository's default branch"
    if branch is None:
        other = {"pull": "a pull request", "tags": "a tag"}.get(
            ref.removeprefix("refs/").partition("/")[0], "no branch"
        )
        return [_notice(f"This workflow runs for {other}; what is deployed is the head of the {what}.")]
    if not deployed:
        return [_notice(f"The workspace deploys the {what}; this workflow runs for the branch '{short(branch)}'.")]
    if deployed != branch:
        message = f"The workspace deploys the {what}, but this workflow runs for the branch '{short(branch)}'."
        return [Finding(Level.ERROR, message)]
    return []


def _branch(ref: str) -> str | None:
    prefix, slash, name = ref.strip().partition("refs/heads/")
    return name if slash and name and not prefix else None


def _notice(message: str) -> Finding:
    return Finding(Level.NOTICE, message)


def _repository(env: Mapping[str, str]) -> Repository | None:
    server = env.get("GITHUB_SERVER_URL", "").strip() or _GITHUB
    return Repository.from_url(f"{server}/{env.get('GITHUB_REPOSITORY', '')}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _folder(path: str) -> str | None:
    parts = [part for part in path.strip().split("/") if part not in ("", ".")]
    if not parts or ".." in parts or _CONTROL.search(path):
        return None
    return "/".join(parts)
