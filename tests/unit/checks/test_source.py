import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import source
from matatika_deploy.checks.source import Workspace
from matatika_deploy.findings import Finding, Level, as_warnings

SECRET = "s3cr3t-which-must-not-be-seen"

ENV = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "Org/Repo",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": "1e81ff3d" * 5,
}


def compare(env: Mapping[str, str] = ENV, **fields: object) -> list[Finding]:
    answer = {
        "id": "5e5c9a60-0000-4000-8000-000000000000",
        "status": "READY",
        "repositoryUrl": "https://github.com/Org/Repo",
        "repositoryBranch": "main",
        "repositoryDirectory": None,
        "deploymentSecret": SECRET,
        "sshPrivateKey": SECRET,
        **fields,
    }
    return source.compare(Workspace.from_json(answer), env)


def only(findings: list[Finding]) -> tuple[Level, str]:
    assert len(findings) == 1, findings
    assert findings[0].file is None
    return findings[0].level, findings[0].message


def test_a_workspace_that_deploys_what_was_pushed_has_no_findings() -> None:
    assert compare() == []


class TestStatus:
    @pytest.mark.parametrize("status", ["PROVISIONING", "FAILED", "SOMETHING_NEW"])
    def test_any_status_but_ready_is_an_error(self, status: str) -> None:
        level, message = only(compare(status=status))
        assert level is Level.ERROR
        assert status in message

    @pytest.mark.parametrize("status", ["READY", "Ready", None, "", 7, [], {}])
    def test_ready_or_unknown_is_fine(self, status: object) -> None:
        assert compare(status=status) == []


class TestRepository:
    @pytest.mark.parametrize(
        "url",
        [
            "https://github.com/Org/Repo",
            "https://github.com/Org/Repo.git",
            "https://github.com/Org/Repo/",
            "https://github.com/Org/Repo.git/",
            "HTTPS://GitHub.com/oRG/rEPO.GIT",
            "http://github.com/Org/Repo",
            "https://github.com:443/Org/Repo",
            "https://www.github.com/Org/Repo",
            "https://github.com./Org/Repo",
            "https://github.com//Org//Repo",
            "https://github.com/Org/Repo?tab=readme#top",
            "https://github.com/Org/Repo/tree/main",
            "https://github.com/%4Frg/Repo",
            f"https://user:{SECRET}@github.com/Org/Repo.git",
            "git@github.com:Org/Repo.git",
            "git@github.com:Org/Repo",
            "git@github.com:/Org/Repo.git",
            "github.com:Org/Repo.git",
            "github.com/Org/Repo",
            f"user:{SECRET}@github.com/Org/Repo",
            "ssh://git@github.com/Org/Repo.git",
            "ssh://git@github.com:22/Org/Repo.git",
            "ssh://git@github.com:Org/Repo.git",
            "ssh://git@ssh.github.com:443/Org/Repo.git",
            "git+ssh://git@github.com/Org/Repo.git",
            "git://github.com/Org/Repo.git",
            "  https://github.com/Org/Repo\n",
        ],
    )
    def test_every_way_to_write_ours_is_ours(self, url: str) -> None:
        assert compare(repositoryUrl=url) == []

    @pytest.mark.parametrize(
        "url",
        [
            "https://github.com/Org/Other",
            "https://github.com/Other/Repo",
            "https://github.com/Org/Repo.git.git",
            "https://github.com/Org/Repo2.git",
            "git@github.com:Org/repo-2.git",
            "ssh://git@github.com:Other/Repo.git",
            f"https://{SECRET}@github.com/Other/Repo",
            f"https://x:{SECRET}@github.com/Other/Repo",
            f"x:{SECRET}@github.com/Other/Repo",
            f"{SECRET}@github.com:Other/Repo",
        ],
    )
    def test_another_is_an_error(self, url: str) -> None:
        level, message = only(compare(repositoryUrl=url))
        assert level is Level.ERROR
        assert "Org/Repo" in message
        assert SECRET not in message

    @pytest.mark.parametrize(
        "url",
        [
            "https://gitlab.com/Org/Repo",
            "git@gitlab.com:Org/Repo.git",
            "https://github.com.evil.example/Org/Repo",
            "https://github.com@evil.example/Org/Repo",
            "https://ghe.example.com/Org/Repo",
            "git@github.com-work:Org/Repo",
            f"https://{SECRET}:{SECRET}@dev.azure.com/Org/Project/_git/Repo",
        ],
    )
    def test_a_repository_on_another_server_is_a_notice_alone(self, url: str) -> None:
        level, message = only(compare(repositoryUrl=url, repositoryBranch="develop"))
        assert level is Level.NOTICE
        assert "not compared" in message
        assert SECRET not in message

    @pytest.mark.parametrize(
        "url",
        [
            *(None, "", " ", 7, [], {}, True),
            *("Org/Repo", "/srv/git/repo", "./repo", "file:///srv/git/repo.git", "C:\\git\\repo", "C:/git/repo"),
            *(
                "https://github.com",
                "https://github.com/Org",
                "https://",
                "://",
                "https://[::1/Org/Repo",
                "git@:Org/Repo",
            ),
            *(
                "https://github.com/Org/Repo\nhttps://github.com/Other/Repo",
                "https://git hub.com/Org/Repo",
                "\0",
                "\ud800",
            ),
        ],
    )
    def test_an_address_without_a_repository_is_a_notice(self, url: object) -> None:
        level, message = only(compare(repositoryUrl=url))
        assert level is Level.NOTICE
        assert "no address of a host and a path" in message

    @pytest.mark.parametrize(
        "url",
        [
            f"https://github.com:{SECRET}/acme/data",
            f"https://github.com:{SECRET}@/acme/data",
            f"https://github.com/acme:{SECRET}@data/x",
            f"https://github.com/{SECRET}@acme/data",
            f"https://github.com/acme/{SECRET}@github.com/acme/data",
            f"https://github.com/acme/data:{SECRET}",
            f"https://github.com/acme/%40{SECRET}",
            f"https://github.com/acme=/{SECRET}",
            f"https:///{SECRET}@github.com/acme/data",
            f"ssh://git@github.com:{SECRET}/acme/data",
            f"ssh://git@github.com:{SECRET}@x/acme/data",
            f"git@github.com:{SECRET}/acme/data",
            f"git@github.com:{SECRET}:acme/data",
            f"git@github.com:user:{SECRET}@/acme/data",
            f"github.com:{SECRET}@acme/data",
            f"github.com/{SECRET}:x/data",
            f"user:{SECRET}@/github.com/acme/data",
            f"https://github.com/acme/data?access_token={SECRET}",
            f"https://github.com/acme/data#{SECRET}",
            f"github.com/acme/data?{SECRET}",
            f"{SECRET}://github.com/acme/data",
        ],
    )
    def test_an_address_that_is_not_plainly_a_host_and_a_path_is_not_shown(self, url: str) -> None:
        workspace = Workspace.from_json({"repositoryUrl": url})
        assert SECRET not in f"{workspace}{compare(repositoryUrl=url)}"

    @pytest.mark.parametrize(
        ("server", "url"),
        [
            ("https://ghe.example.com", "https://ghe.example.com/Org/Repo.git"),
            ("https://GHE.example.com:8443/", "git@ghe.example.com:Org/Repo.git"),
            ("http://ghe.example.com", "ssh://git@ghe.example.com:2222/Org/Repo"),
            ("", "https://github.com/Org/Repo"),
        ],
    )
    def test_the_server_may_be_github_enterprise(self, server: str, url: str) -> None:
        assert compare({**ENV, "GITHUB_SERVER_URL": server}, repositoryUrl=url) == []

    @pytest.mark.parametrize("repository", ["", "Org", "a b", "\n"])
    def test_an_unknown_repository_of_the_workflow_is_not_compared(self, repository: str) -> None:
        level, message = only(compare({**ENV, "GITHUB_REPOSITORY": repository}, repositoryUrl="https://x.com/a/b"))
        assert level is Level.NOTICE
        assert "GITHUB_REPOSITORY" in message


class TestBranch:
    def test_another_is_an_error(self) -> None:
        level, message = only(compare(repositoryBranch="develop"))
        assert level is Level.ERROR
        assert "'develop'" in message
        assert "'main'" in message

    @pytest.mark.parametrize("branch", ["Main", "main2", "feature/main", "refs/tags/main"])
    def test_a_similar_branch_is_another(self, branch: str) -> None:
        assert only(compare(repositoryBranch=branch))[0] is Level.ERROR

    @pytest.mark.parametrize("branch", ["feature/a", "refs/heads/feature/a", " feature/a\n"])
    def test_the_same_branch_has_no_finding_in_any_spelling(self, branch: str) -> None:
        assert compare({**ENV, "GITHUB_REF": "refs/heads/feature/a"}, repositoryBranch=branch) == []

    @pytest.mark.parametrize("branch", [None, "", " ", 7, ["main"]])
    def test_a_missing_branch_is_the_repositorys_default(self, branch: object) -> None:
        level, message = only(compare(repositoryBranch=branch))
        assert level is Level.NOTICE
        assert "default branch" in message

    QUEUE = f"refs/heads/gh-readonly-queue/main/pr-12-{'1e81ff3d' * 5}"

    @pytest.mark.parametrize("branch", ["main", "develop", None])
    def test_a_merge_queues_branch_is_a_notice(self, branch: str | None) -> None:
        level, message = only(compare({**ENV, "GITHUB_REF": self.QUEUE}, repositoryBranch=branch))
        assert level is Level.NOTICE
        assert "runs for a merge queue;" in message

    @pytest.mark.parametrize("ref", ["refs/heads/gh-readonly-queue", "refs/heads/gh-readonly-queue/main/pr-x-1e81"])
    def test_a_branch_that_only_looks_like_a_merge_queues_is_another(self, ref: str) -> None:
        assert only(compare({**ENV, "GITHUB_REF": ref}))[0] is Level.ERROR

    @pytest.mark.parametrize("branch", ["main", "refs/heads/main"])
    def test_a_pull_request_into_the_workspaces_branch_has_no_finding(self, branch: str) -> None:
        env = {**ENV, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main"}
        assert compare(env, repositoryBranch=branch) == []

    @pytest.mark.parametrize("branch", ["develop", None])
    def test_a_pull_request_into_another_branch_is_a_notice(self, branch: str | None) -> None:
        env = {**ENV, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main"}
        level, message = only(compare(env, repositoryBranch=branch))
        assert level is Level.NOTICE
        assert "runs for a pull request;" in message

    @pytest.mark.parametrize(
        ("env", "expected"),
        [
            ({}, True),
            ({"GITHUB_REF": QUEUE}, True),
            ({"GITHUB_REF": QUEUE.replace("main", "feature/a")}, False),
            ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main"}, True),
            ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "develop"}, False),
            ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": ""}, False),
            ({"GITHUB_REF": "refs/heads/develop", "GITHUB_BASE_REF": "main"}, False),
            ({"GITHUB_REF": "refs/tags/main"}, False),
            ({"GITHUB_REPOSITORY": "Org/Other"}, False),
            ({"GITHUB_REPOSITORY": "org/repo"}, True),
            ({"GITHUB_SERVER_URL": "https://ghe.example.com"}, False),
            ({"GITHUB_REPOSITORY": ""}, False),
        ],
    )
    def test_a_workspace_deploys_the_workflows_target_branch_or_not(self, env: dict[str, str], expected: bool) -> None:
        answer = {"repositoryUrl": "https://github.com/Org/Repo", "repositoryBranch": "main"}
        assert source.deploys_this(Workspace.from_json(answer), {**ENV, **env}) is expected

    @pytest.mark.parametrize("fields", [{"repositoryBranch": None}, {"repositoryUrl": None}])
    def test_a_workspace_of_unknown_source_is_not_known_to_deploy_it(self, fields: dict[str, object]) -> None:
        answer = {"repositoryUrl": "https://github.com/Org/Repo", "repositoryBranch": "main", **fields}
        assert not source.deploys_this(Workspace.from_json(answer), ENV)

    @pytest.mark.parametrize(
        ("ref", "words"),
        [
            ("refs/tags/v1.0", "a tag"),
            ("refs/pull/7/merge", "a pull request"),
            ("refs/heads/", "no branch"),
            ("1e81ff3d" * 5, "no branch"),
            ("main", "no branch"),
            ("refs/remotes/origin/refs/heads/main", "no branch"),
            ("", "no branch"),
        ],
    )
    @pytest.mark.parametrize("branch", ["main", "develop", None])
    def test_a_ref_that_is_no_branch_is_a_notice(self, ref: str, words: str, branch: str | None) -> None:
        level, message = only(compare({**ENV, "GITHUB_REF": ref}, repositoryBranch=branch))
        assert level is Level.NOTICE
        assert f"runs for {words};" in message


def test_several_mistakes_are_several_findings() -> None:
    findings = compare(status="FAILED", repositoryUrl="https://github.com/a/b", repositoryBranch="develop")
    assert [finding.level for finding in findings] == [Level.ERROR] * 3


def test_an_empty_environment_gives_only_notices() -> None:
    assert {finding.level for finding in compare({})} == {Level.NOTICE}


class TestCommit:
    @pytest.mark.parametrize("commit", ["1e81ff3d" * 5, "1E81FF3D" * 5, "1e81ff3", " 1e81ff3d1e81\n"])
    def test_the_same_is_fine(self, commit: str) -> None:
        assert source.compare_commit(commit, ENV) == []

    @pytest.mark.parametrize("commit", [None, "", " ", "00", "000000"])
    def test_an_unknown_commit_has_no_finding(self, commit: str | None) -> None:
        assert source.compare_commit(commit, ENV) == []
        assert source.compare_commit("1e81ff3d" * 5, {**ENV, "GITHUB_SHA": commit or ""}) == []

    def test_another_commit_is_a_warning(self) -> None:
        level, message = only(source.compare_commit("0" * 40, ENV))
        assert level is Level.WARNING
        assert "0" * 40 in message
        assert ENV["GITHUB_SHA"] in message

    @pytest.mark.parametrize("ref", ["refs/pull/7/merge", "refs/tags/v1", "", TestBranch.QUEUE])
    def test_another_commit_is_a_notice_where_it_has_to_differ(self, ref: str) -> None:
        assert only(source.compare_commit("0" * 40, {**ENV, "GITHUB_REF": ref}))[0] is Level.NOTICE


def test_lowered_findings_have_warnings_for_errors() -> None:
    findings = [Finding(level, "x", "a.yml", 1, 2) for level in Level]
    assert as_warnings(findings) == [
        Finding(Level.WARNING, "x", "a.yml", 1, 2),
        Finding(Level.WARNING, "x", "a.yml", 1, 2),
        Finding(Level.NOTICE, "x", "a.yml", 1, 2),
    ]


class TestWorkspace:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("workspaces/a", "workspaces/a"),
            ("/workspaces/a/", "workspaces/a"),
            ("./a//b", "a/b"),
            (" a ", "a"),
            *((nothing, None) for nothing in ("", " ", "/", ".", "./")),
            *((no_text, None) for no_text in (None, 7, True)),
            (["a"], None),
            *((outside, None) for outside in ("..", "../a", "a/../../b", "a/..", "/../etc")),
            *((unclean, None) for unclean in ("a\nb", "a\0b", "a\x7f", "a\x85b")),
        ],
    )
    def test_a_workspaces_directory_lies_in_the_repository(self, given: object, expected: str | None) -> None:
        assert Workspace.from_json({"repositoryDirectory": given}).directory == expected

    def test_a_workspaces_secrets_are_left_out(self) -> None:
        answer = {
            "status": "READY",
            "repositoryUrl": f"https://x:{SECRET}@github.com/Org/Repo",
            "deploymentSecret": SECRET,
            "sshPrivateKey": SECRET,
        }
        workspace = Workspace.from_json(answer)
        assert SECRET not in repr(workspace)
        assert SECRET not in str(workspace._asdict())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
WORKSPACES = st.dictionaries(
    st.sampled_from(["status", "repositoryUrl", "repositoryBranch", "repositoryDirectory", "name"]),
    st.one_of(JSON, st.text(alphabet="https://@:gitubcom.[]%~\\ \n-", max_size=30)),
)


@settings(derandomize=True, deadline=None)
@given(JSON | WORKSPACES, st.dictionaries(st.sampled_from(list(ENV)), st.text() | st.sampled_from(list(ENV.values()))))
def test_no_answer_makes_the_comparison_raise(answer: object, env: dict[str, str]) -> None:
    secrets = {"deploymentSecret": SECRET, "sshPrivateKey": SECRET}
    workspace = Workspace.from_json({**answer, **secrets} if isinstance(answer, dict) else answer)
    findings = [*source.compare(workspace, env), *source.compare_commit(workspace.branch, env)]
    assert SECRET not in f"{workspace}{findings}"
    for finding in findings:
        assert finding.message.isprintable()
        json.dumps(finding.message).encode()
