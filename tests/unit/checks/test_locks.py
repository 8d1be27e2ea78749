"""Plugins without lock files, and pipelines of one name: what fails silently is told."""

from collections.abc import Callable, Mapping

import pytest

from matatika_deploy.findings import Finding, Level

Check = Callable[[Mapping[str, str]], list[Finding]]

LOADER = "plugins/loaders/target-x--a.lock"


def meltano(*plugins: str) -> str:
    return "plugins:\n  loaders:\n  - name: target-x\n  extractors:\n" + "".join(
        f"  - {plugin}\n" for plugin in plugins
    )


class TestLockFiles:
    def test_a_plugin_without_a_lock_file_is_a_warning_with_the_command(self, check: Check) -> None:
        (finding,) = check({LOADER: "", "meltano.yml": meltano("name: tap-a")})
        assert (finding.level, finding.file, finding.line, finding.column) == (Level.WARNING, "meltano.yml", 5, 11)
        assert "'tap-a'" in finding.message
        assert "plugins/extractors" in finding.message
        assert "`meltano lock" in finding.message
        assert "does not install" in finding.message

    def test_a_custom_plugin_may_not_be_installed(self, check: Check) -> None:
        (finding,) = check({LOADER: "", "meltano.yml": meltano("{name: tap-a, namespace: tap_a}")})
        assert finding.level is Level.WARNING
        assert "may not install" in finding.message

    @pytest.mark.parametrize(
        "name",
        ["tap-a.lock", "tap-a--matatika.lock", "tap-a--other--variant.lock", "tap-a--.lock"],
    )
    def test_a_lock_file_of_any_variant_counts(self, check: Check, name: str) -> None:
        files = {
            LOADER: "",
            f"plugins/extractors/{name}": "",
            "meltano.yml": meltano("{name: tap-a, variant: meltanolabs}"),
        }
        assert check(files) == []

    @pytest.mark.parametrize("name", ["tap-a.yml", "tap-ab.lock", "tap-a-b--x.lock", "tap-a--x.lock.bak"])
    def test_a_file_of_another_name_is_no_lock_file(self, check: Check, name: str) -> None:
        files = {LOADER: "", f"plugins/extractors/{name}": "", "meltano.yml": meltano("name: tap-a")}
        assert len(check(files)) == 1

    def test_a_lock_file_of_another_type_does_not_count(self, check: Check) -> None:
        assert len(check({LOADER: "", "plugins/loaders/tap-a.lock": "", "meltano.yml": meltano("name: tap-a")})) == 1

    @pytest.mark.parametrize(
        "plugin", ["{name: tap-b, inherit_from: tap-a}", "{variant: x}", "name: !env X", "name:", "tap-a", "[]"]
    )
    def test_a_plugin_that_needs_no_lock_file_is_no_finding(self, check: Check, plugin: str) -> None:
        assert check({LOADER: "", "meltano.yml": meltano(plugin)}) == []

    def test_a_repository_without_lock_files_has_no_finding(self, check: Check) -> None:
        assert check({"meltano.yml": meltano("name: tap-a"), "plugins/extractors/.gitkeep": ""}) == []

    @pytest.mark.parametrize(
        "plugins", ["[]", "x", "{extractors: x}", "{extractors: {name: a}}", "{../..: [{name: a}]}"]
    )
    def test_plugins_of_another_shape_are_no_finding(self, check: Check, plugins: str) -> None:
        assert check({LOADER: "", "meltano.yml": f"plugins: {plugins}\n"}) == []


class TestNames:
    PIPELINE = "version: pipelines/v0.1\n"

    @pytest.mark.parametrize(
        ("first", "second", "name"),
        [
            ("My orders.yml", "my-orders.yml", "my-orders"),
            ("Orders.yml", "orders.yml", "orders"),
            ("a.yaml", "a.yml", "a"),
            ("a/Load it.yml", "a/load_it.yml", "a/load-it"),
        ],
    )
    def test_two_files_of_one_slug_are_a_warning(self, check: Check, first: str, second: str, name: str) -> None:
        (finding,) = check({f"pipelines/{first}": self.PIPELINE, f"pipelines/{second}": self.PIPELINE})
        assert (finding.level, finding.file, finding.line) == (Level.WARNING, f"pipelines/{second}", 1)
        assert f"'pipelines/{first}'" in finding.message
        assert f"'{name}'" in finding.message

    def test_the_same_path_in_two_folders_is_one_name(self, check: Check) -> None:
        workspace = "version: workspaces/v0.2\npipeline_paths: [a, b]\n"
        (finding,) = check({"workspace.yml": workspace, "a/x.yml": self.PIPELINE, "b/x.yml": self.PIPELINE})
        assert (finding.level, finding.file) == (Level.WARNING, "b/x.yml")

    def test_two_files_that_say_the_same_name_are_a_warning(self, check: Check) -> None:
        named = f"{self.PIPELINE}name: Orders\n"
        (finding,) = check({"pipelines/a.yml": named, "pipelines/b.yml": named})
        assert (finding.level, finding.file) == (Level.WARNING, "pipelines/b.yml")

    @pytest.mark.parametrize(
        ("first", "second"),
        [("a-b.yml", "a---b.yml"), ("a/b.yml", "a-b.yml"), ("a/x.yml", "b/x.yml"), ("a.yml", "a-.yml")],
    )
    def test_different_slugs_are_no_finding(self, check: Check, first: str, second: str) -> None:
        assert check({f"pipelines/{first}": self.PIPELINE, f"pipelines/{second}": self.PIPELINE}) == []

    @pytest.mark.parametrize(
        "other", ["", "# later\n", "version: datasets/v0.1\n", "version: 2\nmodels: []\n", "x: y: z\n"]
    )
    def test_a_file_that_is_no_pipeline_has_no_name(self, check: Check, other: str) -> None:
        findings = check({"pipelines/A.yml": self.PIPELINE, "pipelines/a.yml": other})
        assert not any("same name" in finding.message for finding in findings)
