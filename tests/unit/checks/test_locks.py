"""Plugins without lock files, and pipelines of one name: what fails silently is told."""

import pytest

from tests.support.repository import BROKEN, PIPELINE, Check, brief

PROJECT = """\
plugins:
  loaders: [{name: target-x}]
  ../..: [{name: no-folder}]
  extractors:
  - {name: locked}
  - {name: variant, variant: matatika}
  - {name: two--variants}
  - name: tap-a
  - {name: custom, namespace: x}
  - {name: other}
  - {name: tap}
  - {name: backup}
  - {name: loader}
  - {name: inherits, inherit_from: locked}
  - {variant: x}
  - {name: !env X}
  - {name: }
  - text
  - []
"""
LOCK_FILES = [
    *("locked.lock", "variant--matatika.lock", "two--variants--other.lock", "other.yml", "tap-b--x.lock", "tapx.lock"),
    *("backup--x.lock.bak", "../loaders/loader.lock", "../loaders/target-x--a.lock"),
]


def test_plugins_without_a_lock_file_of_their_type_and_name_are_warnings_with_the_command(check: Check) -> None:
    locks = {f"plugins/extractors/{name}": "" for name in LOCK_FILES}
    findings = check({"meltano.yml": PROJECT, **locks})
    found = [(it.level, it.line, it.column, it.message.split("'")[1]) for it in findings]
    names = [(8, "tap-a"), (9, "custom"), (10, "other"), (11, "tap"), (12, "backup"), (13, "loader")]
    assert found == [("warning", line, 11 if name == "tap-a" else 12, name) for line, name in names]
    for finding, (_, name) in zip(findings, names, strict=True):
        then = "may not install it" if name == "custom" else "does not install it"
        assert f"no lock file in plugins/extractors, and a deployment {then}: run `meltano lock`" in finding.message


@pytest.mark.parametrize("plugins", ["[]", "x", "{extractors: x}", "{extractors: {name: a}}"])
def test_plugins_of_another_shape_are_no_finding(check: Check, plugins: str) -> None:
    assert check({"meltano.yml": f"plugins: {plugins}\n", "plugins/loaders/x.lock": ""}) == []


def test_a_repository_without_lock_files_has_no_finding(check: Check) -> None:
    assert check({"meltano.yml": PROJECT, "plugins/extractors/.gitkeep": ""}) == []


def test_files_of_one_slug_are_warnings(check: Check) -> None:
    names = ["a.yaml", "a.yml", "b/Load it.yml", "b/load_it.yml", "My orders.yml", "my-orders.yml"]
    others = ["c-d.yml", "c---d.yml", "e/f.yml", "e-f.yml", "g/x.yml", "h/x.yml"]
    findings = check({f"pipelines/{name}": PIPELINE for name in (*names, *others)})
    assert [(it.level, it.place) for it in findings] == [("warning", f"pipelines/{name}:1:1") for name in names[1::2]]
    for finding, first, slug in zip(findings, names[::2], ("a", "b/load-it", "my-orders"), strict=True):
        assert f"same name as 'pipelines/{first}' ('{slug}')" in finding.message


def test_names_that_files_have_in_two_folders_or_give_themselves_are_one_too(check: Check) -> None:
    workspace = "version: workspaces/v0.2\npipeline_paths: [a, b]\n"
    files = {"workspace.yml": workspace, "a/x.yml": PIPELINE, "b/x.yml": PIPELINE}
    assert brief(check(files)) == ["warning b/x.yml"]
    files |= {"b/x.yml": f"{PIPELINE}name: Orders\n", "b/y.yml": f"{PIPELINE}name: Orders\n", "a/x.yml": ""}
    assert brief(check(files)) == ["warning b/y.yml"]


@pytest.mark.parametrize("other", ["", "version: datasets/v0.1\n", "version: 2\nmodels: []\n", BROKEN])
def test_a_file_that_is_no_pipeline_has_no_name(check: Check, other: str) -> None:
    findings = check({"pipelines/A.yml": PIPELINE, "pipelines/a.yml": other})
    assert not any("same name" in finding.message for finding in findings)
