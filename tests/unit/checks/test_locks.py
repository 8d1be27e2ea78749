"""Plugins without lock files, and pipelines of one name: what fails silently is told."""

import pytest

from tests.support.repository import BROKEN, PIPELINE, Check, brief


def plugins(plugin: str, *lock_files: str) -> dict[str, str]:
    """A project with a plugin beside one that has its lock file."""
    project = f"plugins:\n  loaders:\n  - name: target-x\n  extractors:\n  - {plugin}\n"
    return {"meltano.yml": project} | {f"plugins/{name}": "" for name in ("loaders/target-x--a.lock", *lock_files)}


def test_a_plugin_without_a_lock_file_is_a_warning_with_the_command(check: Check) -> None:
    (finding,) = check(plugins("name: tap-a"))
    assert (finding.level, finding.place) == ("warning", "meltano.yml:5:11")
    for words in ("'tap-a'", "plugins/extractors", "`meltano lock", "does not install"):
        assert words in finding.message


def test_a_custom_plugin_may_not_be_installed(check: Check) -> None:
    (finding,) = check(plugins("{name: tap-a, namespace: tap_a}"))
    assert finding.level == "warning"
    assert "may not install" in finding.message


@pytest.mark.parametrize(
    ("lock_file", "counts"),
    [
        *((f"extractors/tap-a{end}.lock", True) for end in ("", "--matatika", "--other--variant", "--")),
        *(
            (f"extractors/{name}", False)
            for name in ("tap-a.yml", "tap-ab.lock", "tap-a-b--x.lock", "tap-a--x.lock.bak")
        ),
        ("loaders/tap-a.lock", False),
    ],
)
def test_a_lock_file_has_the_plugins_type_and_name_and_any_variant(check: Check, lock_file: str, counts: bool) -> None:
    findings = check(plugins("{name: tap-a, variant: meltanolabs}", lock_file))
    assert brief(findings) == ([] if counts else ["warning meltano.yml"])


@pytest.mark.parametrize(
    "plugin", ["{name: tap-b, inherit_from: tap-a}", "{variant: x}", "name: !env X", "name:", "tap-a", "[]"]
)
def test_a_plugin_that_needs_no_lock_file_is_no_finding(check: Check, plugin: str) -> None:
    assert check(plugins(plugin)) == []


@pytest.mark.parametrize("shape", ["[]", "x", "{extractors: x}", "{extractors: {name: a}}", "{../..: [{name: a}]}"])
def test_plugins_of_another_shape_are_no_finding(check: Check, shape: str) -> None:
    assert check({**plugins(""), "meltano.yml": f"plugins: {shape}\n"}) == []


def test_a_repository_without_lock_files_has_no_finding(check: Check) -> None:
    assert check({"meltano.yml": plugins("name: tap-a")["meltano.yml"], "plugins/extractors/.gitkeep": ""}) == []


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("My orders.yml", "my-orders.yml", "my-orders"),
        ("Orders.yml", "orders.yml", "orders"),
        ("a.yaml", "a.yml", "a"),
        ("a/Load it.yml", "a/load_it.yml", "a/load-it"),
    ],
)
def test_two_files_of_one_slug_are_a_warning(check: Check, first: str, second: str, name: str) -> None:
    (finding,) = check({f"pipelines/{first}": PIPELINE, f"pipelines/{second}": PIPELINE})
    assert (finding.level, finding.place) == ("warning", f"pipelines/{second}:1:1")
    assert f"'pipelines/{first}' ('{name}')" in finding.message


def test_names_that_files_have_in_two_folders_or_give_themselves_are_one_too(check: Check) -> None:
    workspace = "version: workspaces/v0.2\npipeline_paths: [a, b]\n"
    files = {"workspace.yml": workspace, "a/x.yml": PIPELINE, "b/x.yml": PIPELINE}
    assert brief(check(files)) == ["warning b/x.yml"]
    files |= {"b/x.yml": f"{PIPELINE}name: Orders\n", "b/y.yml": f"{PIPELINE}name: Orders\n", "a/x.yml": ""}
    assert brief(check(files)) == ["warning b/y.yml"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("a-b.yml", "a---b.yml"), ("a/b.yml", "a-b.yml"), ("a/x.yml", "b/x.yml"), ("a.yml", "a-.yml")],
)
def test_different_slugs_are_no_finding(check: Check, first: str, second: str) -> None:
    assert check({f"pipelines/{first}": PIPELINE, f"pipelines/{second}": PIPELINE}) == []


@pytest.mark.parametrize("other", ["", "# later\n", "version: datasets/v0.1\n", "version: 2\nmodels: []\n", BROKEN])
def test_a_file_that_is_no_pipeline_has_no_name(check: Check, other: str) -> None:
    findings = check({"pipelines/A.yml": PIPELINE, "pipelines/a.yml": other})
    assert not any("same name" in finding.message for finding in findings)
