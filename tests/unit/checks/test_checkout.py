"""Where checkout put the repository, and what it left out."""

import pytest

from matatika_deploy.checks import preflight
from tests.support.repository import BROKEN, PIPELINE, WORKSPACE, Check, Files, Write, brief

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 12345\n"
REPO = {"repo/.git/HEAD": ""}
SPACE = REPO | {"repo/workspace.yml": BROKEN}
TEAMS = REPO | {"repo/teams/a/pipelines/a.yml": BROKEN, "repo/pipelines/b.yml": BROKEN}
TWO = REPO | {"repo/pipelines/a.yml": BROKEN, "other/.git/HEAD": "", "other/pipelines/b.yml": BROKEN}
SUBMODULE = {".git/HEAD": "", "sub/.git": "gitdir: ../.git/modules/sub\n", "sub/pipelines/a.yml": BROKEN}


@pytest.mark.parametrize(
    ("files", "directory", "expected"),
    [
        *((SPACE, directory, "error workspace.yml") for directory in ("repo", "repo/", "./repo", None)),
        *((TEAMS, directory, "error teams/a/pipelines/a.yml") for directory in ("repo/teams/a", "teams/a")),
        (REPO | {"repo/pipelines/a.yml": BROKEN, "meltano.yml": BROKEN}, None, "error meltano.yml"),
        # Which of several repositories is meant is not guessed, and none is looked for in a repository.
        (TWO, None, "notice"),
        (TWO, "other", "error pipelines/b.yml"),
        ({".git/HEAD": "", "vendor/.git/HEAD": "", "vendor/pipelines/a.yml": BROKEN}, None, "notice"),
        (SUBMODULE, "sub", "error sub/pipelines/a.yml"),
    ],
)
def test_files_are_named_from_the_root_of_the_repository_wherever_it_lies(
    write: Write, files: Files, directory: str | None, expected: str
) -> None:
    root = write(files)
    assert brief(preflight.check(root, directory).findings) == [expected]
    assert brief(preflight.check(root, None, directory).findings) == [expected]


@pytest.mark.parametrize("name", ["pipelines/a.yml", "meltano.yml", "workspace.yml", "workspace-dev.yml"])
def test_a_git_lfs_pointer_is_named_as_such_and_nothing_is_guessed_of_its_content(check: Check, name: str) -> None:
    (finding,) = check({"pipelines/b.yml": PIPELINE + "triggered_by: [a]\n", "pipelines/a.yml": "", name: POINTER})
    assert brief([finding]) == [f"warning {name}"]
    assert "Git LFS pointer. Set `lfs: true`" in finding.message


def modules(path: str) -> Files:
    return {".gitmodules": f'[submodule "x"]\n\tpath = {path}\n\turl = ../x\n'}


LOAD = {"pipelines/a.yml": PIPELINE + "triggered_by: [it-is-in-the-submodule]\n"}
ELSEWHERE = {**LOAD, "workspace.yml": WORKSPACE + "pipeline_paths: [pipelines, teams/shared/etl]\n"}


@pytest.mark.parametrize(
    ("path", "files", "directory", "expected"),
    [
        ("pipelines", {"datastores/a.yml": ""}, None, ["warning"]),
        ("pipelines/shared", LOAD, None, ["warning"]),
        ("teams/shared", ELSEWHERE, None, ["warning"]),
        ("spaces", {"README.md": ""}, "spaces", ["warning", "notice"]),
        ("spaces", {"README.md": ""}, "spaces/a", ["error"]),
    ],
)
def test_a_missing_submodule_is_named_and_nothing_else_that_follows_from_it(
    write: Write, path: str, files: Files, directory: str | None, expected: list[str]
) -> None:
    root = write({**modules(path), **files})
    (root / path).mkdir(parents=True, exist_ok=True)
    report = preflight.check(root, directory)
    assert brief(report.findings) == expected
    assert f"ubmodule '{path}' is not checked out" in report.findings[0].message
    assert "`submodules: true`" in report.findings[0].message
    assert report.pipelines is None


def test_a_submodule_elsewhere_or_one_that_is_there_is_no_finding(write: Write) -> None:
    paths = ("teams/a", "teams/b/pipelines", "../outside", "/etc", "x\0y", "a" * 5000, "")
    files = {".gitmodules": "".join(f"[submodule]\n\tpath = {path}\n" for path in paths)}
    root = write({**files, "teams/b/pipelines/.git": "", "teams/b/pipelines/a.yml": PIPELINE})
    (root / "teams/a").mkdir()
    assert preflight.check(root, "teams/b").findings == []


@pytest.mark.parametrize(
    ("name", "is_sparse"), [(".git/config", "true"), (".git/config.worktree", "true"), (".git/config", "false")]
)
def test_a_sparse_checkout_is_checked_as_it_is_and_a_notice_says_so(write: Write, name: str, is_sparse: str) -> None:
    root = write(
        {
            name: f"[core]\n\tsparseCheckout = {is_sparse}\n\tsparseCheckoutCone = true\n",
            "workspace.yml": WORKSPACE + "pipeline_paths: [etl, more]\n",
            "etl/a.yml": PIPELINE + "triggered_by: [b]\ntimeout: soon\n",
            "plugins/loaders/x.lock": "",
            "meltano.yml": "plugins: {extractors: [{name: tap-a}]}\n",
        }
    )
    report = preflight.check(root)
    missing = ["warning etl/a.yml", "warning meltano.yml", "warning workspace.yml"]
    assert brief(report.findings) == ["error etl/a.yml", *(["notice"] if is_sparse == "true" else missing)]
    assert ("sparse" in report.findings[-1].message) is (is_sparse == "true")
    assert (report.pipelines is None) is (is_sparse == "true")


def test_a_report_counts_the_files_of_each_kind_and_knows_which_files_exist(write: Write) -> None:
    names = ("workspace.yml", "pipelines/a.yml", "pipelines/b.yml", "datastores/a.yml")
    report = preflight.check(
        write({f"teams/a/{name}": "" for name in names} | {"b.yml": "", "../x.yml": ""}), "teams/a"
    )
    assert report.files == {"workspace": 1, "pipeline": 2, "datastore": 1}
    generated = ("teams/a/.meltano/x.yml", ".meltano/pipelines/x.yml")
    for path in ("teams/a/pipelines/a.yml", "pipelines/a.yml", "/pipelines/a.yml", "b.yml", *generated):
        assert report.has_file(path)
    for path in ("a.yml", "../../../x.yml", "pipelines/c.yml", "x\0", "x" * 5000):
        assert not report.has_file(path)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"pipelines/A b.yml": PIPELINE, "pipelines/c/d.yaml": ""}, ["A b", "c/d"]),
        ({"workspace.yml": "pipeline_paths: [x, y/one.yml]\n", "x/a.yml": "", "y/one.yml": ""}, ["a", "one"]),
        ({"workspace.yml": "pipeline_paths: ['${X}']\n"}, None),
        ({"workspace.yml": "\t\n# tab\n", "pipelines/a.yml": PIPELINE}, None),
        ({"workspace-dev.yml": "pipeline_paths: [x]\n", "pipelines/a.yml": PIPELINE}, None),
        ({"datastores/a.yml": ""}, []),
        ({}, None),
    ],
)
def test_a_report_has_the_pipeline_files_if_all_are_known(write: Write, files: Files, names: list[str] | None) -> None:
    report = preflight.check(write(files))
    assert (None if report.pipelines is None else [file.name for file in report.pipelines]) == names
    assert not report.has_file("a.yml")
