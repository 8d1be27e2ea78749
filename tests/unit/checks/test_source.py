import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.checks import source
from matatika_deploy.checks.source import Workspace
from matatika_deploy.findings import Finding, Level, as_warnings

SECRET = "s3cr3t-which-must-not-be-seen"
COMMIT = "1e81ff3d" * 5
ENV = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "Org/Repo",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": COMMIT,
}
PULL = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main"}
QUEUE = {"GITHUB_REF": f"refs/heads/gh-readonly-queue/main/pr-12-{COMMIT}"}


def workspace(**fields: object) -> Workspace:
    answer = {
        "id": "5e5c9a60-0000-4000-8000-000000000000",
        "status": "READY",
        "repositoryUrl": "https://github.com/Org/Repo",
        "repositoryBranch": "main",
        "repositoryDirectory": None,
        "deploymentSecret": SECRET,
        "sshPrivateKey": SECRET,
    }
    return Workspace.from_json({**answer, **fields})


def compare(env: Mapping[str, str] = ENV, **fields: object) -> list[Finding]:
    return source.compare(workspace(**fields), env)


def test_several_mistakes_are_several_findings() -> None:
    findings = compare(status="FAILED", repositoryUrl="https://github.com/a/b", repositoryBranch="develop")
    assert [finding.level for finding in findings] == [Level.ERROR] * 3
    assert {finding.level for finding in compare({})} == {Level.NOTICE}


@pytest.mark.parametrize("status", ["PROVISIONING", "FAILED", "SOMETHING_NEW", "READY", "Ready", None, "", 7, []])
def test_any_status_but_ready_is_an_error_if_it_is_known(status: object) -> None:
    findings = compare(status=status)
    is_error = status in ("PROVISIONING", "FAILED", "SOMETHING_NEW")
    assert [finding.level for finding in findings] == [Level.ERROR] * is_error
    assert all(str(status) in finding.message for finding in findings)


# Addresses of repositories; `{}` is a secret.
OURS = """
https://github.com/Org/Repo.git https://github.com/Org/Repo/ https://github.com/Org/Repo.git/ github.com/Org/Repo
HTTPS://GitHub.com/oRG/rEPO.GIT http://github.com/Org/Repo https://github.com:443/Org/Repo https://github.com./Org/Repo
https://www.github.com/Org/Repo https://github.com//Org//Repo https://github.com/Org/Repo/tree/main
https://github.com/Org/Repo?tab=readme#top https://github.com/%4Frg/Repo
https://user:{}@github.com/Org/Repo.git user:{}@github.com/Org/Repo
git@github.com:Org/Repo.git git@github.com:/Org/Repo.git github.com:Org/Repo.git git://github.com/Org/Repo.git
ssh://git@github.com/Org/Repo.git ssh://git@github.com:22/Org/Repo.git ssh://git@github.com:Org/Repo.git
ssh://git@ssh.github.com:443/Org/Repo.git git+ssh://git@github.com/Org/Repo.git
"""
OTHERS = """
https://github.com/Org/Other https://github.com/Other/Repo https://github.com/Org/Repo.git.git
git@github.com:Org/repo-2.git ssh://git@github.com:Other/Repo.git
https://{}@github.com/Other/Repo https://x:{}@github.com/Other/Repo x:{}@github.com/Other/Repo {}@github.com:Other/Repo
"""
ELSEWHERE = """
https://gitlab.com/Org/Repo git@gitlab.com:Org/Repo.git git@github.com-work:Org/Repo
https://github.com.evil.example/Org/Repo https://github.com@evil.example/Org/Repo
https://{}:{}@dev.azure.com/Org/Project/_git/Repo https://{}@dev.azure.com/Org/My%20Project/_git/Repo
git@gitlab.com:Org/{}/Repo.git git@ssh.dev.azure.com:v3/Org/{}/Repo https://git.example.com/{}
"""
NOWHERE: list[object] = [
    *(None, "", " ", 7, [], True, "Org/Repo", "/srv/git/repo", "./repo", "file:///srv/git/repo.git", "C:\\git\\repo"),
    *("C:/git/repo", "https://github.com", "https://github.com/Org", "https://", "://", "https://[::1/Org/Repo", "\0"),
    *("git@:Org/Repo", "https://git hub.com/Org/Repo", "https://github.com/Org/Repo\nhttps://github.com/a/b", "\ud800"),
]
# What may be a secret in these does not stand where one belongs.
MISPLACED = """
https://github.com:{}/acme/data https://github.com:{}@/acme/data https://github.com/acme:{}@data/x
https://github.com/{}@acme/data https://github.com/acme/{}@github.com/acme/data https://github.com/acme/data:{}
https://github.com/acme/%40{} https://github.com/acme=/{} https:///{}@github.com/acme/data {}://github.com/acme/data
ssh://git@github.com:{}/acme/data ssh://git@github.com:{}@x/acme/data user:{}@/github.com/acme/data
git@github.com:{}/acme/data git@github.com:{}:acme/data git@github.com:user:{}@/acme/data github.com:{}@acme/data
https://github.com/acme/data?access_token={} https://github.com/acme/data#{}
github.com/acme/data?{} github.com/{}:x/data
"""


@pytest.mark.parametrize(
    ("url", "level", "words"),
    [
        *((url, None, "") for url in (*OURS.split(), "  https://github.com/Org/Repo\n")),
        *((url, Level.ERROR, "this workflow runs in Org/Repo") for url in OTHERS.split()),
        *((url, Level.NOTICE, "was not compared: it lies on") for url in ELSEWHERE.split()),
        *((url, Level.NOTICE, "no address of a host and a path") for url in NOWHERE),
    ],
)
def test_another_repository_is_an_error_and_one_that_cannot_be_compared_a_notice(
    url: object, level: Level | None, words: str
) -> None:
    findings = compare(repositoryUrl=url.replace("{}", SECRET) if isinstance(url, str) else url)
    assert [(finding.level, finding.file) for finding in findings] == ([(level, None)] if level else [])
    assert words in f"{findings}"
    assert SECRET not in f"{findings}"
    assert source.deploys_this(workspace(repositoryUrl=url), ENV) is (level is None)


@pytest.mark.parametrize("url", [*ELSEWHERE.split(), *NOWHERE])
def test_a_branch_of_a_repository_that_is_not_compared_is_not_compared(url: object) -> None:
    assert len(compare(repositoryUrl=url, repositoryBranch="develop")) == 1


@pytest.mark.parametrize("url", MISPLACED.split())
def test_an_address_that_is_not_plainly_a_host_and_a_path_is_not_shown(url: str) -> None:
    address = url.format(SECRET)
    assert SECRET not in f"{workspace(repositoryUrl=address)}{compare(repositoryUrl=address)}"


GHE = "https://ghe.example.com"
HERE = "https://github.com/Org/Repo"


@pytest.mark.parametrize(
    ("env", "url", "level", "words"),
    [
        ({"GITHUB_SERVER_URL": "https://GHE.example.com:8443/"}, f"{GHE}/Org/Repo.git", None, ""),
        ({"GITHUB_SERVER_URL": "http://ghe.example.com"}, "ssh://git@ghe.example.com:2222/Org/Repo", None, ""),
        ({"GITHUB_SERVER_URL": GHE}, HERE, Level.NOTICE, "it lies on github.com, this one on ghe.example.com"),
        ({"GITHUB_SERVER_URL": ""}, HERE, None, ""),
        ({"GITHUB_REPOSITORY": "org/repo"}, HERE, None, ""),
        ({"GITHUB_REPOSITORY": "Org/Other"}, HERE, Level.ERROR, "this workflow runs in Org/Other"),
        *(({"GITHUB_REPOSITORY": it}, HERE, Level.NOTICE, "GITHUB_REPOSITORY") for it in ("", "Org", "a b", "\n")),
    ],
)
def test_the_workflows_repository_may_lie_on_github_enterprise(
    env: dict[str, str], url: str, level: Level | None, words: str
) -> None:
    findings = compare({**ENV, **env}, repositoryUrl=url)
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert words in f"{findings}"
    assert source.deploys_this(workspace(repositoryUrl=url), {**ENV, **env}) is (level is None)


FEATURE = {"GITHUB_REF": "refs/heads/feature/a"}
FEATURE_QUEUE = {"GITHUB_REF": QUEUE["GITHUB_REF"].replace("main", "feature/a")}
TAG = {"GITHUB_REF": "refs/tags/main"}
# The workspace's branch, and what comes of it for a pull request of `main`.
PULLED = (
    *((branch, None, "", True) for branch in ("main", "refs/heads/main")),
    *((branch, Level.NOTICE, "runs for a pull request;", False) for branch in ("feature/a", None)),
)
NO_BASE = {**PULL, "GITHUB_BASE_REF": ""}
NO_QUEUES = ("gh-readonly-queue", "gh-readonly-queue/main/pr-x-1e81")
NO_BRANCHES = ("", "main", "refs/heads/", COMMIT, "refs/remotes/origin/refs/heads/main")


@pytest.mark.parametrize(
    ("env", "branch", "level", "words", "deploys"),
    [
        ({}, "develop", Level.ERROR, "branch 'develop', but this workflow runs for the branch 'main'", False),
        *(({}, branch, Level.ERROR, "but", False) for branch in ("Main", "feature/main", "refs/tags/main")),
        # `pull_request_target`
        *(({**FEATURE, "GITHUB_BASE_REF": "main"}, *expected) for expected in PULLED),
        *((FEATURE, branch, None, "", True) for branch in ("feature/a", "refs/heads/feature/a", " feature/a\n")),
        *(({}, branch, Level.NOTICE, "default branch", False) for branch in (None, " ", 7, ["main"])),
        *((QUEUE, branch, Level.NOTICE, "runs for a merge queue;", False) for branch in ("develop", None)),
        (QUEUE, "main", Level.NOTICE, "runs for a merge queue;", True),
        (FEATURE_QUEUE, "feature/a", Level.NOTICE, "runs for a merge queue;", True),
        *(({"GITHUB_REF": f"refs/heads/{it}"}, "main", Level.ERROR, "but", False) for it in NO_QUEUES),
        *((PULL, *expected) for expected in PULLED),
        *((NO_BASE, branch, Level.NOTICE, "runs for a pull request;", False) for branch in ("main", None)),
        *((TAG, branch, Level.NOTICE, "runs for a tag;", False) for branch in ("main", None)),
        *(({"GITHUB_REF": ref}, "main", Level.NOTICE, "runs for no branch;", False) for ref in NO_BRANCHES),
    ],
)
def test_another_branch_is_an_error_and_what_has_none_a_notice(
    env: dict[str, str], branch: object, level: Level | None, words: str, deploys: bool
) -> None:
    findings = compare({**ENV, **env}, repositoryBranch=branch)
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(words in finding.message for finding in findings)
    assert source.deploys_this(workspace(repositoryBranch=branch), {**ENV, **env}) is deploys


@pytest.mark.parametrize(
    ("deployed", "env", "level"),
    [
        *((same, {}, None) for same in (COMMIT, COMMIT.upper(), f" {COMMIT[:7]}\n")),
        *((unknown, {}, None) for unknown in (None, " ", "000000")),
        *((COMMIT, {"GITHUB_SHA": unknown}, None) for unknown in (" ", "000000")),
        *((other, {}, Level.WARNING) for other in ("0" * 40, "0" * 7)),
        *(("0" * 40, env, Level.NOTICE) for env in ({"GITHUB_REF": ""}, {"GITHUB_BASE_REF": "main"}, TAG, PULL, QUEUE)),
    ],
)
def test_another_commit_is_a_warning_or_a_notice_where_it_has_to_differ(
    deployed: str | None, env: dict[str, str], level: Level | None
) -> None:
    findings = source.compare_commit(deployed, {**ENV, **env})
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(f"is {deployed}, but this workflow ran for {COMMIT}." in finding.message for finding in findings)


def test_lowered_findings_have_warnings_for_errors() -> None:
    findings = [Finding(level, "x", "a.yml", 1, 2) for level in Level]
    lowered = [Level.WARNING, Level.WARNING, Level.NOTICE]
    assert as_warnings(findings) == [Finding(level, "x", "a.yml", 1, 2) for level in lowered]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *(("workspaces/a", "workspaces/a"), ("/workspaces/a/", "workspaces/a"), ("./a//b", "a/b"), (" a ", "a")),
        *((nothing, None) for nothing in ("", " ", "/", ".", "./", None, 7, True, ["a"])),
        *((outside, None) for outside in ("..", "../a", "a/../../b", "a/..", "/../etc")),
        *((unclean, None) for unclean in ("a\nb", "a\0b", "a\x7f", "a\x85b")),
    ],
)
def test_a_workspaces_directory_lies_in_the_repository(given: object, expected: str | None) -> None:
    assert workspace(repositoryDirectory=given).directory == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
WORKSPACES = st.dictionaries(
    st.sampled_from(["status", "repositoryUrl", "repositoryBranch", "repositoryDirectory", "name"]),
    JSON | st.text(alphabet="https://@:gitubcom.[]%~\\ \n-", max_size=30),
)


@given(JSON | WORKSPACES, st.dictionaries(st.sampled_from(list(ENV)), st.text() | st.sampled_from(list(ENV.values()))))
def test_no_answer_makes_the_comparison_raise_or_shows_a_secret(answer: object, env: dict[str, str]) -> None:
    found = workspace(**answer) if isinstance(answer, dict) else Workspace.from_json(answer)
    findings = [*source.compare(found, env), *source.compare_commit(found.branch, env)]
    assert SECRET not in f"{found}{found._asdict()}{findings}"
    for finding in findings:
        assert finding.message.isprintable()
        json.dumps(finding.message).encode()
