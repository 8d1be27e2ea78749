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


def only(findings: list[Finding]) -> tuple[Level, str]:
    (finding,) = findings
    assert finding.file is None
    return finding.level, finding.message


def test_a_workspace_that_deploys_what_was_pushed_has_no_findings() -> None:
    assert compare() == []


def test_several_mistakes_are_several_findings() -> None:
    findings = compare(status="FAILED", repositoryUrl="https://github.com/a/b", repositoryBranch="develop")
    assert [finding.level for finding in findings] == [Level.ERROR] * 3


def test_an_empty_environment_gives_only_notices() -> None:
    assert {finding.level for finding in compare({})} == {Level.NOTICE}


@pytest.mark.parametrize("status", ["PROVISIONING", "FAILED", "SOMETHING_NEW"])
def test_any_status_but_ready_is_an_error(status: str) -> None:
    level, message = only(compare(status=status))
    assert level is Level.ERROR
    assert status in message


@pytest.mark.parametrize("status", ["Ready", None, "", 7, []])
def test_a_workspace_that_is_ready_or_whose_status_is_unknown_is_fine(status: object) -> None:
    assert compare(status=status) == []


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
https://{}:{}@dev.azure.com/Org/Project/_git/Repo
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


@pytest.mark.parametrize("url", [*OURS.split(), "  https://github.com/Org/Repo\n"])
def test_every_way_to_write_our_repository_is_ours(url: str) -> None:
    assert compare(repositoryUrl=url.format(SECRET)) == []


@pytest.mark.parametrize(
    ("url", "level", "words"),
    [
        *((url, Level.ERROR, "this workflow runs in Org/Repo") for url in OTHERS.split()),
        *((url, Level.NOTICE, "was not compared: it lies on") for url in ELSEWHERE.split()),
        *((url, Level.NOTICE, "no address of a host and a path") for url in NOWHERE),
    ],
)
def test_another_repository_is_an_error_and_one_that_cannot_be_compared_a_notice(
    url: object, level: Level, words: str
) -> None:
    url = url.replace("{}", SECRET) if isinstance(url, str) else url
    found, message = only(compare(repositoryUrl=url))
    assert found is level
    assert words in message
    assert SECRET not in message


def test_a_branch_of_another_servers_repository_is_not_compared() -> None:
    assert len(compare(repositoryUrl="https://gitlab.com/Org/Repo", repositoryBranch="develop")) == 1


@pytest.mark.parametrize("url", MISPLACED.split())
def test_an_address_that_is_not_plainly_a_host_and_a_path_is_not_shown(url: str) -> None:
    address = url.format(SECRET)
    assert SECRET not in f"{workspace(repositoryUrl=address)}{compare(repositoryUrl=address)}"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("https://GHE.example.com:8443/", "https://ghe.example.com/Org/Repo.git"),
        ("https://ghe.example.com", "git@ghe.example.com:Org/Repo.git"),
        ("http://ghe.example.com", "ssh://git@ghe.example.com:2222/Org/Repo"),
        ("", "https://github.com/Org/Repo"),
    ],
)
def test_the_server_may_be_github_enterprise(server: str, url: str) -> None:
    assert compare({**ENV, "GITHUB_SERVER_URL": server}, repositoryUrl=url) == []


@pytest.mark.parametrize("repository", ["", "Org", "a b", "\n"])
def test_an_unknown_repository_of_the_workflow_is_not_compared(repository: str) -> None:
    level, message = only(compare({**ENV, "GITHUB_REPOSITORY": repository}, repositoryUrl="https://x.com/a/b"))
    assert level is Level.NOTICE
    assert "GITHUB_REPOSITORY" in message


FEATURE = {"GITHUB_REF": "refs/heads/feature/a"}


@pytest.mark.parametrize(
    ("env", "branch", "level", "words"),
    [
        ({}, "develop", Level.ERROR, "deploys the branch 'develop', but this workflow runs for the branch 'main'"),
        *(({}, branch, Level.ERROR, "but") for branch in ("Main", "main2", "feature/main", "refs/tags/main")),
        *((FEATURE, branch, None, "") for branch in ("feature/a", "refs/heads/feature/a", " feature/a\n")),
        *(({}, branch, Level.NOTICE, "default branch") for branch in (None, "", " ", 7, ["main"])),
        *((QUEUE, branch, Level.NOTICE, "runs for a merge queue;") for branch in ("main", "develop", None)),
        ({"GITHUB_REF": "refs/heads/gh-readonly-queue"}, "main", Level.ERROR, "but"),
        ({"GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-x-1e81"}, "main", Level.ERROR, "but"),
        *((PULL, branch, None, "") for branch in ("main", "refs/heads/main")),
        *((PULL, branch, Level.NOTICE, "runs for a pull request;") for branch in ("develop", None)),
        *(({**PULL, "GITHUB_BASE_REF": ""}, it, Level.NOTICE, "runs for a pull request;") for it in ("main", None)),
        *(({"GITHUB_REF": "refs/tags/v1.0"}, it, Level.NOTICE, "runs for a tag;") for it in ("main", None)),
        *(
            ({"GITHUB_REF": ref}, "main", Level.NOTICE, "runs for no branch;")
            for ref in ("", "main", "refs/heads/", COMMIT, "refs/remotes/origin/refs/heads/main")
        ),
    ],
)
def test_another_branch_is_an_error_and_what_has_none_a_notice(
    env: dict[str, str], branch: object, level: Level | None, words: str
) -> None:
    findings = compare({**ENV, **env}, repositoryBranch=branch)
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(words in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("env", "fields", "expected"),
    [
        ({}, {}, True),
        ({"GITHUB_REPOSITORY": "org/repo"}, {}, True),
        (QUEUE, {}, True),
        ({"GITHUB_REF": QUEUE["GITHUB_REF"].replace("main", "feature/a")}, {"repositoryBranch": "feature/a"}, True),
        (PULL, {}, True),
        ({**PULL, "GITHUB_BASE_REF": "develop"}, {}, False),
        ({**PULL, "GITHUB_BASE_REF": ""}, {}, False),
        ({"GITHUB_REF": "refs/heads/develop", "GITHUB_BASE_REF": "main"}, {}, False),
        ({"GITHUB_REF": "refs/tags/main"}, {}, False),
        ({"GITHUB_REPOSITORY": "Org/Other"}, {}, False),
        ({"GITHUB_SERVER_URL": "https://ghe.example.com"}, {}, False),
        ({"GITHUB_REPOSITORY": ""}, {}, False),
        ({}, {"repositoryBranch": None}, False),
        ({}, {"repositoryUrl": None}, False),
    ],
)
def test_a_workspace_deploys_the_workflows_target_branch_or_not(
    env: dict[str, str], fields: dict[str, object], expected: bool
) -> None:
    assert source.deploys_this(workspace(**fields), {**ENV, **env}) is expected


@pytest.mark.parametrize(
    ("deployed", "env", "level"),
    [
        *((same, {}, None) for same in (COMMIT, COMMIT.upper(), COMMIT[:7], f" {COMMIT[:12]}\n")),
        *((unknown, {}, None) for unknown in (None, "", " ", "000000")),
        *((COMMIT, {"GITHUB_SHA": unknown}, None) for unknown in ("", " ", "000000")),
        ("0" * 40, {}, Level.WARNING),
        ("0" * 7, {}, Level.WARNING),
        *(("0" * 40, {"GITHUB_REF": ref}, Level.NOTICE) for ref in ("", "refs/tags/v1", "refs/pull/7/merge")),
        ("0" * 40, QUEUE, Level.NOTICE),
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
