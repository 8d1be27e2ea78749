"""Hostile repositories: no hang, no crash, bounded memory and time, nothing outside of them is read or quoted."""

import itertools
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from matatika_deploy.checks import files, preflight, rules
from matatika_deploy.checks.budget import Budget
from matatika_deploy.checks.kinds import PATHS_KEYS
from matatika_deploy.runtime.limits import CHECK_SECONDS
from tests.support.repository import BROKEN, DATASET, PIPELINE, WORKSPACE, Check, Files, Write, brief, write_files

LIMIT = files.MAX_FILE_BYTES
# What the check of each of these takes is far below all limits; what they stop is a bomb that goes off.
MEMORY = 512 * 2**20
CPU_SECONDS = 5
CHECK_EACH = """
import json, pathlib, sys, time
from matatika_deploy.checks import preflight
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    began = time.process_time()
    findings = preflight.check(path).findings
    print(json.dumps([path.name, time.process_time() - began, findings]), flush=True)
"""


def _bomb(item: str, line: str) -> str:
    return item + "".join(line.format(n=n, repeated=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 50))


def _long(number: int) -> str:
    return f"{'ab' * 90}{number:06}"


MERGES = _bomb("a0: &a0 {x: y}\n", "a{n}: &a{n} {{<<: [{repeated}]}}\n")
LISTS = f"x: &a [{', '.join('x' * 20_000)}]\n" + "!!str actions: *a\n!!str triggered_by: *a\n" * 5000
SAME_PATHS = "".join(f"{key}: [{', '.join('x' + '/' * n for n in range(100))}]\n" for key in PATHS_KEYS)
MODULES = {".gitmodules": "".join(f"path = {n}\n" for n in range(100)), "x/a.yml": ""}
LONG_PATHS = "".join(f"{key}: [{', '.join(['*a'] * 100)}]\n" for key in ("plugin_paths", "pipeline_paths"))
NEARLY = f"{PIPELINE}triggered_by:\n" + "".join(f"- {_long(n)}x\n" for n in range(1000, 1020))
# Pipeline files, and the level of what is found first in each.
PIPELINES = {
    "a billion laughs": (PIPELINE + _bomb("a0: &a0 [x]\n", "a{n}: &a{n} [{repeated}]\n"), None),
    "a billion merges": (f"{PIPELINE}{MERGES}<<: *a49\n", None),
    "anchors in circles": ("&a\n<<: *a\nx: &x [*x, *a]\nactions: *x\ntriggered_by: *x\n", "error"),
    "one map merged many times": ("x: &x {a: b}\n" + f"<<: [{', '.join(['*x'] * 30_000)}]\n", "warning"),
    "many merge keys": ("<<: {}\n" * 20_000, "warning"),
    "5 MiB of brackets": ("[" * LIMIT, "warning"),
    "deep blocks": ("".join(f"{' ' * depth}a:\n" for depth in range(3000)), "warning"),
    "many deep values": ("[" * 190 + "1," * 20_000 + "]" * 190, "error"),
    "2,600,000 values": ("[" + "1," * (LIMIT // 2 - 1) + "]", "warning"),
    "many keys": (PIPELINE + "".join(f"k{n}:\n" for n in range(20_000)), None),
    "one key many times": (PIPELINE + "a:\n" * 20_000, "warning"),
    "many mistakes": (f"{PIPELINE}actions:\n" + "- []\n" * 20_000, "error"),
    "many triggers": (f"{PIPELINE}triggered_by:\n" + "- x\n" * 20_000, "warning"),
    "many directives": ("".join(f"%TAG !a{n}! b{n}\n" for n in range(200_000)) + "--- x\n", "warning"),
    "many documents": ("---\n" * (LIMIT // 4), "warning"),
    "many cron fields": (f"{PIPELINE}schedule: {'1 ' * 200_000}\n", "error"),
    "a huge cron field": (f"{PIPELINE}schedule: {'9' * 2_000_000} * * * * *\n", "error"),
    "a huge number": (f"{PIPELINE}timeout: {'9' * 2_000_000}\n", None),
    "nearly a huge number": (f"{PIPELINE}timeout: {'9_' * 1_000_000}x\n", "error"),
    "one word": ("a" * (LIMIT - 1), "error"),
    "nothing but lines": ("\n" * LIMIT, None),
    "a quote without end": ('"' + "\\n" * (LIMIT // 2 - 1), "error"),
    "tagged keys with one list": (f"{PIPELINE}{LISTS}", "warning"),
}
JSON = {
    "JSON of lists": ("[" * 1_000_000, "warning"),
    "JSON of values": ("[" + "1," * 1_000_000, "error"),
    "JSON of a number": ("9" * 2_000_000, None),
    "JSON of a string": ('"' + "\\\\u0000" * 200_000, "error"),
}
HOSTILE: dict[str, tuple[Files, str | None]] = {
    **{name: ({"pipelines/a.yml": content}, level) for name, (content, level) in PIPELINES.items()},
    **{name: ({"analyze/datasets/a.yml": f"{DATASET}metadata: '{it}'\n"}, level) for name, (it, level) in JSON.items()},
    "tagged keys with one JSON": (
        {"analyze/datasets/a.yml": f"{DATASET}x: &a '[{'1,' * 20_000}1]'\n" + "!!str metadata: *a\n" * 5000},
        None,
    ),
    "triggers that nearly match long names": (
        {f"pipelines/{_long(n)}.yml": PIPELINE for n in range(300)} | {"pipelines/x.yml": NEARLY},
        "warning",
    ),
    "aliases of a long path": ({"workspace.yml": f"{WORKSPACE}x: &a {'a/' * 50_000}\n{LONG_PATHS}"}, "warning"),
    "paths of many steps": (
        {f"workspace-{n}.yml": f"{WORKSPACE}plugin_paths: [{'../' * 300}x]\n" for n in range(200)},
        "warning",
    ),
    "many submodules": ({f"workspace-{n}.yml": f"{WORKSPACE}{SAME_PATHS}" for n in range(25)} | MODULES, None),
    "chains of links": ({"pipelines/0.yml": PIPELINE}, None),
    "a file of a gigabyte": ({"pipelines/b.yml": BROKEN, "meltano.yml": "", "pipelines/a.yml": ""}, "error"),
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, list[list[Any]]]]:
    """CPU seconds and findings of a check of each; all in one process, which dies if one takes too much."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (content, _) in HOSTILE.items():
        write_files(folder / name, content)
    for number in range(100):
        (folder / f"many submodules/{number}").mkdir()
    for number in range(1, 2000):
        (folder / f"chains of links/pipelines/{number}.yml").symlink_to(f"{number - 1}.yml")
    for path in ("meltano.yml", "pipelines/a.yml"):
        os.truncate(folder / "a file of a gigabyte" / path, 2**30)
    done = subprocess.run(
        [sys.executable, "-c", CHECK_EACH, str(folder)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-1000:]
    return {name: (seconds, findings) for name, seconds, findings in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_repository_is_checked_within_limits(
    checked: dict[str, tuple[float, list[list[Any]]]], name: str
) -> None:
    content, level = HOSTILE[name]
    seconds, findings = checked[name]
    assert seconds < CPU_SECONDS
    assert all(len(text) <= LIMIT for text in content.values())
    assert len(findings) <= len(content) * (rules.MAX_FINDINGS_PER_FILE + 1)
    assert next((found for found, *_ in findings), None) == level
    assert all(len(message) < 400 for _, message, *_ in findings)


def test_no_check_takes_longer_than_ten_seconds(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a second of the end of its budget, each ends and names what it left out."""
    assert CHECK_SECONDS + 1 < 10
    monkeypatch.setattr(preflight, "Budget", lambda: Budget(0.3))
    root = write({f"pipelines/{n}.yml": f"{PIPELINE}x:\n" + "- a\n" * 400_000 for n in range(3)})
    began = time.thread_time()
    findings = preflight.check(root).findings
    assert time.thread_time() - began < 1.3
    assert any("left out" in finding.message for finding in findings)


def test_what_is_no_plain_file_is_not_waited_for_even_if_it_was_one_when_listed(write: Write) -> None:
    root = write({"pipelines/c.yml": BROKEN})
    os.mkfifo(root / "pipelines/a.yml")
    os.mkfifo(root / "meltano.yml")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "pipelines/b.yml"))
        (root / "workspace-dev.yml").symlink_to("pipelines/b.yml")
        assert brief(preflight.check(root).findings) == ["warning meltano.yml", "warning pipelines/b.yml"]
    (root / "link.yml").symlink_to("pipelines/c.yml")
    for path, reason in (("pipelines/a.yml", "not a plain file"), ("link.yml", "cannot be opened")):
        with pytest.raises(files.NotReadError, match=reason):
            files.read(str(root / path))


OUTSIDE = {"../outside/a.yml": BROKEN, "../outside/pipelines/b.yml": BROKEN, "../checkout-and-more/c.yml": BROKEN}
ONE = {"pipelines/a.yml": PIPELINE}
ETL = {"workspace.yml": f"{WORKSPACE}pipeline_paths: [etl, /etc, ../outside]\n", ".hidden/a.yml": BROKEN}
HIDDEN = [".env", ".env.yml", ".git/config", ".cache/a.yml", "secrets.txt", ".a/../.b.yml"]


@pytest.mark.parametrize(
    ("content", "links", "expected"),
    [
        # What lies outside is not followed, ...
        (ONE, "pipelines/file.yml=../../outside/a.yml pipelines/twice.yml=file.yml meltano.yml=/proc/self/environ", []),
        (ONE, "pipelines/beside.yml=../../checkout-and-more/c.yml workspace.yml=../outside/a.yml", []),
        ({"datastores/x.yml": ""}, "pipelines=../outside analyze=../outside datastores/folder=../../outside", []),
        ({"datastores/x.yml": ""}, "datastores/f=../../outside datastores/through.yml=f/pipelines/b.yml", []),
        *((ETL, f"etl={folder}", ["warning workspace.yml"] * 3) for folder in ("../outside", ".hidden")),
        # ... nor what is hidden, or no YAML, ...
        *(({**ONE, it: "A=hunter2\n", ".a/x": ""}, f"pipelines/b.yml=../{it} meltano.yml={it}", []) for it in HIDDEN),
        # ... nor what would make pipelines of other files, or never end.
        ({**ONE, "other/b.yml": BROKEN}, "pipelines/all=.. pipelines/other=../other pipelines/gone.yml=gone.yml", []),
        (ONE, "pipelines/self.yml=self.yml pipelines/one.yml=two.yml pipelines/two.yml=one.yml pipelines/here=.", []),
        (ONE, "meltano.yml=meltano.yml datastores=datastores", []),
        # What lies inside is.
        ({"etl/a.yml": BROKEN}, "pipelines=etl", ["error etl/a.yml"]),
        (
            {"shared/a.yml": BROKEN, "pipelines/b.yml": PIPELINE, "etc/workspace.yml": "- x\n"},
            "pipelines/a.yml=../shared/a.yml pipelines/c.yml=a.yml workspace.yml=etc/workspace.yml",
            ["error etc/workspace.yml", "error shared/a.yml"],
        ),
    ],
)
def test_links_are_followed_to_yaml_inside_of_the_checkout_alone(
    write: Write, content: dict[str, str], links: str, expected: list[str]
) -> None:
    root = write({**content, **OUTSIDE})
    for link, _, target in (pair.partition("=") for pair in links.split()):
        (root / link).symlink_to(target)
    assert brief(preflight.check(root).findings) == expected


def test_the_checkout_may_be_a_link_but_the_workspace_none_that_leads_out_or_in_a_loop(write: Write) -> None:
    root = write({"pipelines/a.yml": BROKEN, "../outside/pipelines/a.yml": BROKEN})
    for link, target in (("../link", "checkout"), ("out", "../outside"), ("loop", "loop")):
        (root / link).symlink_to(target)
    assert brief(preflight.check(root.parent / "link").findings) == ["error pipelines/a.yml"]
    for space in ("out", "loop"):
        (finding,) = preflight.check(root, space).findings
        assert "no folder" in finding.message
    assert brief(preflight.check(root / "loop").findings) == ["notice"]


@pytest.mark.parametrize("path", ["out/etcc", "out/../etcc", "out/etc/hostnam", "ou/etc", "../outsid"])
def test_suggestions_list_no_folder_outside(write: Write, path: str) -> None:
    root = write({"workspace.yml": f"{WORKSPACE}pipeline_paths: ['{path}']\n", "../outside/etc/hostname": ""})
    (root / "out").symlink_to(root.parent / "outside")
    (finding,) = preflight.check(root).findings
    assert "did you mean" not in finding.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pipelines/a.yml", f"{PIPELINE}properties: password=hunter2\n"),
        ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: *hunter2\n"),
        ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: @hunter2\n"),
        ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: a: hunter2\n"),
        ("datastores/a.yml", "version: datastores/v0.1\nproperties: 'hunter2'\n"),
        ("workspace.yml", f"{WORKSPACE}app_properties: hunter2\n"),
        *((name, "hunter2\n") for name in ("pipelines/a.yml", "workspace.yml", "analyze/datasets/a.yml")),
    ],
)
def test_values_that_may_be_secrets_are_never_quoted(check: Check, name: str, content: str) -> None:
    findings = check({name: content})
    assert findings
    assert "hunter2" not in str(findings)


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("pipelines/a.yml", 0, ["error pipelines/b.yml", "warning pipelines/a.yml"]),
        ("meltano.yml", 0, ["error pipelines/a.yml", "error pipelines/b.yml", "warning meltano.yml"]),
        *(("pipelines", mode, []) for mode in (0, 0o444, 0o111)),
        *((".", mode, ["notice"]) for mode in (0, 0o444, 0o111)),
    ],
)
def test_what_may_not_be_read_is_told_or_left_out(path: str, mode: int, expected: list[str]) -> None:
    # Others may enter this folder, unlike pytest's own.
    with TemporaryDirectory() as folder:
        root = write_files(Path(folder), {"pipelines/a.yml": BROKEN, "pipelines/b.yml": BROKEN, "meltano.yml": ""})
        for it, permissions in ((root, 0o755), (root / "pipelines", 0o755), (root / path, mode)):
            it.chmod(permissions)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # Root may read everything.
        try:
            findings = preflight.check(root).findings
        finally:
            os.seteuid(user)
            root.chmod(0o755)
    assert brief(findings) == expected
    assert not expected or "warning" not in expected[-1] or "Permission denied" in findings[-1].message


def test_file_names_stay_as_they_are_and_can_be_printed(write: Write) -> None:
    names = [
        *("%0A.yml", "'\"`<img>.yml", "##[error]x.yml", "::error::x.yml"),
        *("\x1b[31m.yml", "a\r::add-mask::e.yml", "é😀.yml"),
    ]
    root = write({**{f"pipelines/{name}": BROKEN for name in names}, "meltano.yml/a": ""})
    (root / os.fsdecode(b"pipelines/\xff.yml")).write_text(BROKEN)
    (root / os.fsdecode(b"dir\xff")).mkdir()
    write({"workspace.yml": WORKSPACE + "plugin_paths: [dirx, 'a\u202eb']\n"})
    findings = preflight.check(root).findings
    in_folder = {f"pipelines/{name}" for name in (*names, "\ufffd.yml")}
    assert {finding.file for finding in findings} == {*in_folder, "workspace.yml", "meltano.yml"}
    for finding in findings:
        f"{finding.file}{finding.message}".encode()
        assert "\u202e" not in finding.message


def test_keys_and_values_cannot_break_a_message(check: Check) -> None:
    evil = '"a\\n::error::b\\r##error\\e31m\\0"'
    pipeline = f"{PIPELINE}{evil}: 1\n{evil}: 2\ntimeout: {evil}\nschedule: {evil}\ntriggered_by: [{evil}]\n"
    workspace = f"{WORKSPACE}plugin_paths: [{evil}]\n"
    findings = check({"pipelines/a.yml": pipeline, "pipelines/b.yml": f"version: {evil}\n", "workspace.yml": workspace})
    assert len(findings) == 6
    assert all(finding.message.isprintable() for finding in findings)


def end_after(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """End the budget of the next check after so many looks at it."""
    monkeypatch.setattr(preflight, "Budget", lambda: Budget(looks, itertools.count().__next__))


@pytest.mark.parametrize("looks", [0, 1, 50, 150, 200, 250])
def test_a_spent_budget_ends_the_check_and_says_so(write: Write, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    root = write({f"pipelines/{n % 7}/{n}.yml": PIPELINE for n in range(100)})
    assert preflight.check(root).findings == []
    end_after(monkeypatch, looks)
    report = preflight.check(root)
    (finding,) = report.findings
    assert (finding.level, finding.file) == ("warning", None)
    assert "as a whole" in finding.message
    assert looks < 2 or "'pipelines/" in finding.message
    assert sum(report.files.values()) < 100
    assert report.pipelines is None


def test_a_spent_budget_ends_the_paths_of_a_workspace_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write({"workspace.yml": f"{WORKSPACE}plugin_paths: [{', '.join(f'lost{n}' for n in range(1000))}]\n"})
    assert len(preflight.check(root).findings) == 100
    end_after(monkeypatch, 50)
    assert len(preflight.check(root).findings) < 60


def test_a_spent_budget_ends_the_list_of_a_folder(write: Write) -> None:
    root = write({f"{n}.yml": "" for n in range(100)})
    assert len(list(files.yaml_files(root, root, Budget(150, itertools.count().__next__)))) < 60


def test_nothing_is_written(write: Write) -> None:
    root = write({"pipelines/a.yml": PIPELINE, "workspace.yml": BROKEN})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    preflight.check(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
