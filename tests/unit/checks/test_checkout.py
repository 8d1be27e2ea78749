"""Where checkout put the repository, and what it left out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from matatika_deploy.checks import preflight
from matatika_deploy.findings import Finding, Level

Check = Callable[[Mapping[str, str]], list[Finding]]
Write = Callable[[Mapping[str, str]], Path]

PIPELINE = "version: pipelines/v0.1\n"
BROKEN = "a: b: c\n"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 12345\n"


class TestPath:
    """actions/checkout with `path:`: annotations name files from the repository's root."""

    @pytest.mark.parametrize("directory", ["repo", "repo/", "./repo", None])
    def test_files_are_named_from_the_repositorys_root(self, write: Write, directory: str | None) -> None:
        root = write({"repo/.git/HEAD": "", "repo/workspace.yml": "[]\n", "repo/pipelines/a.yml": BROKEN})
        findings = preflight.check(root, directory).findings
        assert [it.file for it in findings] == ["pipelines/a.yml", "workspace.yml"]

    @pytest.mark.parametrize("directory", ["repo/teams/a", "teams/a"])
    def test_the_workspaces_folder_counts_from_either_root(self, write: Write, directory: str) -> None:
        root = write({"repo/.git/HEAD": "", "repo/teams/a/pipelines/a.yml": BROKEN, "repo/pipelines/b.yml": BROKEN})
        assert [it.file for it in preflight.check(root, directory).findings] == ["teams/a/pipelines/a.yml"]
        assert [it.file for it in preflight.check(root, None, directory).findings] == ["teams/a/pipelines/a.yml"]

    def test_a_workspace_at_the_root_comes_first(self, write: Write) -> None:
        root = write({"repo/.git/HEAD": "", "repo/pipelines/a.yml": BROKEN, "meltano.yml": BROKEN})
        assert [it.file for it in preflight.check(root).findings] == ["meltano.yml"]

    def test_several_repositories_are_not_guessed_at(self, write: Write) -> None:
        root = write({f"{name}/.git/HEAD": "" for name in "ab"} | {f"{name}/pipelines/a.yml": BROKEN for name in "ab"})
        assert "No checkout of a workspace" in preflight.check(root).findings[0].message
        assert [it.file for it in preflight.check(root, "b").findings] == ["pipelines/a.yml"]

    def test_a_repository_in_a_repository_is_not_looked_for(self, write: Write) -> None:
        root = write({".git/HEAD": "", "vendor/.git/HEAD": "", "vendor/pipelines/a.yml": BROKEN})
        assert "No checkout of a workspace" in preflight.check(root).findings[0].message

    def test_nothing_outside_of_the_repository_is_read(self, write: Write) -> None:
        workspace = "version: workspaces/v0.2\npipeline_paths: [../other]\n"
        root = write({"repo/.git/HEAD": "", "repo/workspace.yml": workspace, "other/a.yml": BROKEN})
        assert [it.file for it in preflight.check(root, "repo").findings] == ["workspace.yml"]

    def test_a_submodules_files_are_named_from_the_repositorys_root(self, write: Write) -> None:
        root = write({".git/HEAD": "", "sub/.git": "gitdir: ../.git/modules/sub\n", "sub/pipelines/a.yml": BROKEN})
        assert [it.file for it in preflight.check(root, "sub").findings] == ["sub/pipelines/a.yml"]


class TestLfs:
    @pytest.mark.parametrize("name", ["pipelines/a.yml", "analyze/datasets/a.yml", "meltano.yml", "workspace-dev.yml"])
    def test_a_pointer_is_named_as_such(self, check: Check, name: str) -> None:
        (finding,) = check({name: POINTER})
        assert (finding.level, finding.file) == (Level.WARNING, name)
        assert "Git LFS pointer" in finding.message
        assert "`lfs: true`" in finding.message

    def test_folders_are_unknown_if_workspace_yml_is_a_pointer(self, check: Check) -> None:
        assert [it.file for it in check({"workspace.yml": POINTER, "pipelines/a.yml": BROKEN})] == ["workspace.yml"]

    def test_a_pipeline_that_is_a_pointer_still_has_its_name(self, check: Check) -> None:
        findings = check({"pipelines/a.yml": POINTER, "pipelines/b.yml": f"{PIPELINE}triggered_by: [a]\n"})
        assert [it.file for it in findings] == ["pipelines/a.yml"]


class TestSubmodules:
    @pytest.fixture
    def write_modules(self, write: Write) -> Callable[[str, Mapping[str, str]], Path]:
        """Writes a repository with a submodule that was not checked out."""

        def write_modules(path: str, files: Mapping[str, str]) -> Path:
            root = write({".gitmodules": f'[submodule "x"]\n\tpath = {path}\n\turl = ../x\n', **files})
            (root / path).mkdir(parents=True, exist_ok=True)
            return root

        return write_modules

    @pytest.mark.parametrize("path", ["pipelines", "pipelines/shared", "teams/shared"])
    def test_a_missing_submodule_is_named(
        self, write_modules: Callable[[str, Mapping[str, str]], Path], path: str
    ) -> None:
        workspace = "version: workspaces/v0.2\npipeline_paths: [pipelines, teams/shared/etl]\n"
        load = f"{PIPELINE}triggered_by: [it-is-in-the-submodule]\n"
        files = {"workspace.yml": workspace, "datastores/a.yml": "", "pipelines/.gitkeep": ""}
        files |= {} if path == "pipelines" else {"pipelines/a.yml": load}
        files.pop("pipelines/.gitkeep" if path == "pipelines" else "datastores/a.yml")
        report = preflight.check(write_modules(path, files))
        named = [it for it in report.findings if "submodule" in it.message]
        assert [it.level for it in named] == [Level.WARNING]
        assert f"'{path}'" in named[0].message
        assert "`submodules: true`" in named[0].message
        assert not any("triggered_by" in it.message for it in report.findings)
        assert report.pipelines is None

    def test_a_path_in_a_missing_submodule_is_no_other_finding(
        self, write_modules: Callable[[str, Mapping[str, str]], Path]
    ) -> None:
        workspace = "version: workspaces/v0.2\npipeline_paths: [shared/etl]\n"
        (finding,) = preflight.check(write_modules("shared", {"workspace.yml": workspace})).findings
        assert "submodule 'shared'" in finding.message

    def test_a_workspace_in_a_missing_submodule_is_named(
        self, write_modules: Callable[[str, Mapping[str, str]], Path]
    ) -> None:
        root = write_modules("spaces", {"README.md": ""})
        for directory in ("spaces", "spaces/a"):
            findings = preflight.check(root, directory).findings
            assert any("submodule 'spaces' is not checked out" in it.message for it in findings)

    def test_a_missing_submodule_elsewhere_is_no_finding(
        self, write_modules: Callable[[str, Mapping[str, str]], Path]
    ) -> None:
        root = write_modules("teams/a/vendor", {"teams/b/pipelines/a.yml": PIPELINE})
        assert preflight.check(root, "teams/b").findings == []

    def test_a_submodule_that_was_checked_out_is_no_finding(
        self, write_modules: Callable[[str, Mapping[str, str]], Path]
    ) -> None:
        root = write_modules("pipelines", {"pipelines/.git": "", "pipelines/a.yml": PIPELINE})
        assert preflight.check(root).findings == []

    @pytest.mark.parametrize("path", ["../outside", "/etc", "x\0y", "a" * 5000, ""])
    def test_invalid_paths_of_submodules_are_ignored(self, write: Write, path: str) -> None:
        root = write({".gitmodules": f"path = {path}\n", "pipelines/a.yml": PIPELINE})
        assert preflight.check(root).findings == []


class TestSparse:
    @pytest.mark.parametrize("name", [".git/config.worktree", ".git/config"])
    def test_a_sparse_checkout_is_checked_as_it_is_and_a_notice_says_so(self, write: Write, name: str) -> None:
        root = write(
            {
                name: "[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n",
                "workspace.yml": "version: workspaces/v0.2\npipeline_paths: [etl, more]\n",
                "etl/a.yml": f"{PIPELINE}triggered_by: [b]\ntimeout: soon\n",
                "plugins/loaders/x.lock": "",
                "meltano.yml": "plugins: {extractors: [{name: tap-a}]}\n",
            }
        )
        report = preflight.check(root)
        assert [(it.level, it.file) for it in report.findings] == [(Level.ERROR, "etl/a.yml"), (Level.NOTICE, None)]
        assert "sparse" in report.findings[1].message
        assert report.pipelines is None

    def test_a_checkout_with_sparseness_disabled_is_not_sparse(self, write: Write) -> None:
        root = write({".git/config.worktree": "[core]\n\tsparseCheckout = false\n", "pipelines/a.yml": PIPELINE})
        report = preflight.check(root)
        assert report.findings == []
        assert report.pipelines is not None


class TestReport:
    def test_a_report_counts_the_files_of_each_kind(self, write: Write) -> None:
        files = {"workspace.yml": "", "pipelines/a.yml": "", "pipelines/b.yml": "", "datastores/a.yml": ""}
        assert preflight.check(write(files)).files == {"workspace": 1, "pipeline": 2, "datastore": 1}

    def test_a_report_knows_which_files_exist(self, write: Write) -> None:
        report = preflight.check(write({"teams/a/pipelines/a.yml": PIPELINE, "b.yml": "", "../x.yml": ""}), "teams/a")
        for path in ("teams/a/pipelines/a.yml", "pipelines/a.yml", "/pipelines/a.yml", "b.yml"):
            assert report.has_file(path)
        for path in ("a.yml", "../../../x.yml", "pipelines/b.yml", "x\0", "x" * 5000):
            assert not report.has_file(path)

    @pytest.mark.parametrize(
        ("files", "names"),
        [
            ({"pipelines/A b.yml": PIPELINE, "pipelines/c/d.yaml": ""}, ["A b", "c/d"]),
            ({"workspace.yml": "pipeline_paths: [x, y/one.yml]\n", "x/a.yml": "", "y/one.yml": ""}, ["a", "one"]),
            ({"workspace.yml": "pipeline_paths: ['${X}']\n"}, None),
            ({"workspace.yml": "pipeline_paths: !env X\n"}, []),
            ({"workspace.yml": "\t\n# tab\n", "pipelines/a.yml": PIPELINE}, None),
            ({"workspace-dev.yml": "pipeline_paths: [x]\n", "pipelines/a.yml": PIPELINE}, None),
            ({"datastores/a.yml": ""}, []),
        ],
    )
    def test_a_report_has_the_pipeline_files_if_all_are_known(
        self, write: Write, files: Mapping[str, str], names: list[str] | None
    ) -> None:
        pipelines = preflight.check(write(files)).pipelines
        assert (None if pipelines is None else [file.name for file in pipelines]) == names

    def test_a_missing_checkout_has_no_pipelines(self, tmp_path: Path) -> None:
        report = preflight.check(tmp_path)
        assert report.pipelines is None
        assert not report.has_file("a.yml")
