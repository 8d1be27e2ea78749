"""Hostile repositories: no hang, no crash, bounded memory and time, nothing outside of them is read or quoted."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from matatika_deploy.checks import files, preflight, rules, triggers
from matatika_deploy.checks.budget import Budget
from matatika_deploy.findings import Finding, Level

Content = str | bytes
Check = Callable[[Mapping[str, Content]], list[Finding]]
Write = Callable[[Mapping[str, Content]], Path]

PIPELINE = "version: pipelines/v0.1\n"
BROKEN = "a: b: c\n"
LIMIT = files.MAX_FILE_BYTES
CPU_SECONDS = 60
MEMORY = 512 * 2**20

# What a check of the largest of these takes is far below both limits; what they stop is a bomb that goes off.
CHECK_WITHIN_LIMITS = """
import json, resource, sys
from pathlib import Path
from matatika_deploy.checks import preflight
findings = preflight.check(Path(sys.argv[1])).findings
print(json.dumps([finding._asdict() for finding in findings]))
"""


def check_within_limits(root: Path) -> list[dict[str, str]]:
    """Findings of a check that would die if it took more time or memory than it should."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    command = [sys.executable, "-c", CHECK_WITHIN_LIMITS, str(root)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    findings: list[dict[str, str]] = json.loads(done.stdout)
    return findings


def _bomb(item: str, line: str) -> str:
    return item + "".join(line.format(n=n, repeated=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 50))


@pytest.mark.parametrize(
    ("content", "level"),
    [
        pytest.param(PIPELINE + _bomb("a0: &a0 [x]\n", "a{n}: &a{n} [{repeated}]\n"), None, id="a billion laughs"),
        pytest.param(
            PIPELINE + _bomb("a0: &a0 {x: y}\n", "a{n}: &a{n} {{<<: [{repeated}]}}\n") + "<<: *a49\n",
            None,
            id="a billion merges",
        ),
        pytest.param("&a\n<<: *a\nx: &x [*x, *a]\nactions: *x\ntriggered_by: *x\n", "error", id="anchors in circles"),
        pytest.param(f"<<: [{'{}, ' * 200_000}]\n", "warning", id="200,000 merges"),
        pytest.param("<<: {}\n" * 150_000, "warning", id="150,000 merge keys"),
        pytest.param("[" * 10_000 + "]" * 10_000, "warning", id="10,000 lists"),
        pytest.param("{a: " * 10_000 + "}" * 10_000, "warning", id="10,000 maps"),
        pytest.param("".join(f"{' ' * depth}a:\n" for depth in range(3000)), "warning", id="3,000 blocks"),
        pytest.param("- " * 10_000, "warning", id="10,000 dashes"),
        pytest.param("? " * 10_000, "warning", id="10,000 question marks"),
        pytest.param("[" * LIMIT, "warning", id="5 MiB of brackets"),
        pytest.param("[" + "1," * (LIMIT // 2 - 1) + "]", "warning", id="2,600,000 values"),
        pytest.param("[" * 190 + "1," * 200_000 + "]" * 190, "error", id="many deep values"),
        pytest.param("".join(f"k{n}:\n" for n in range(400_000)), "warning", id="400,000 keys"),
        pytest.param(PIPELINE + "a:\n" * 200_000, "warning", id="one key 200,000 times"),
        pytest.param(f"{PIPELINE}actions:\n" + "- []\n" * 200_000, "error", id="200,000 mistakes"),
        pytest.param(f"{PIPELINE}triggered_by:\n" + "- x\n" * 200_000, "warning", id="200,000 triggers"),
        pytest.param(
            "".join(f"%TAG !a{n}! b{n}\n" for n in range(200_000)) + "--- x\n", "warning", id="200,000 directives"
        ),
        pytest.param("---\n" * (LIMIT // 4), "warning", id="1,300,000 documents"),
        pytest.param(f"{PIPELINE}schedule: {'1 ' * 200_000}\n", "error", id="200,000 cron fields"),
        pytest.param(f"{PIPELINE}schedule: {'9' * 2_000_000} * * * * *\n", "error", id="a huge cron field"),
        pytest.param(f"{PIPELINE}timeout: {'9' * 2_000_000}\n", None, id="a huge number"),
        pytest.param(f"{PIPELINE}timeout: {'9_' * 1_000_000}x\n", "error", id="nearly a huge number"),
        pytest.param(f"version: {'x' * 2_000_000}\n", "warning", id="a huge version"),
        pytest.param("a" * (LIMIT - 1), "error", id="one word"),
        pytest.param("\n" * LIMIT, None, id="nothing but lines"),
        pytest.param("#" * LIMIT, None, id="one comment"),
        pytest.param('"' + "\\n" * (LIMIT // 2 - 1), "error", id="a quote without end"),
    ],
)
def test_a_hostile_file(write: Write, content: str, level: str | None) -> None:
    assert len(content) <= LIMIT
    findings = check_within_limits(write({"pipelines/a.yml": content}))
    assert len(findings) <= rules.MAX_FINDINGS_PER_FILE + 1
    assert next((finding["level"] for finding in findings), None) == level
    assert all(len(finding["message"]) < 400 for finding in findings)


@pytest.mark.parametrize(
    "value",
    ["[" * 1_000_000, '{"a":' * 1_000_000, "[" + "1," * 1_000_000, "9" * 2_000_000, '"' + "\\\\u0000" * 200_000],
    ids=["lists", "maps", "values", "a number", "a string"],
)
def test_hostile_json(write: Write, value: str) -> None:
    write({"analyze/datasets/a.yml": f"version: datasets/v0.2\nmetadata: '{value}'\n"})
    findings = check_within_limits(write({}))
    assert len(findings) <= 1
    assert all(finding["file"] == "analyze/datasets/a.yml" for finding in findings)


def test_a_file_of_a_gigabyte_is_not_read(write: Write) -> None:
    root = write({"pipelines/b.yml": BROKEN})
    for name in ("workspace.yml", "meltano.yml", "pipelines/a.yml"):
        (root / name).touch()
        os.truncate(root / name, 2**30)
    (root / "workspace.yml").unlink()
    findings = check_within_limits(root)
    assert [(finding["level"], finding["file"]) for finding in findings] == [
        ("error", "pipelines/b.yml"),
        ("warning", "meltano.yml"),
        ("warning", "pipelines/a.yml"),
    ]
    assert "1,024.0 MiB" in findings[1]["message"]


class TestWhatIsNoPlainFile:
    def test_pipes_and_sockets_are_not_waited_for(self, write: Write) -> None:
        root = write({"pipelines/c.yml": BROKEN})
        os.mkfifo(root / "pipelines/a.yml")
        os.mkfifo(root / "meltano.yml")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(root / "pipelines/b.yml"))
            (root / "workspace-dev.yml").symlink_to("pipelines/b.yml")
            findings = preflight.check(root).findings
        assert [(it.level, it.file) for it in findings] == [
            (Level.WARNING, "meltano.yml"),
            (Level.WARNING, "pipelines/b.yml"),
        ]

    def test_a_pipe_without_a_writer_is_not_waited_for_even_if_it_was_a_file_when_listed(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.yml")
        with pytest.raises(files.NotReadError, match="not a plain file"):
            files.read(str(tmp_path / "a.yml"))

    def test_a_link_is_no_file_if_it_was_one_when_listed(self, write: Write) -> None:
        root = write({"a.yml": ""})
        (root / "b.yml").symlink_to("a.yml")
        with pytest.raises(files.NotReadError, match="cannot be opened"):
            files.read(str(root / "b.yml"))

    def test_a_folder_with_a_files_name_is_a_folder(self, check: Check) -> None:
        findings = check({"pipelines/x.yml/a.yml": BROKEN, "meltano.yml/a": ""})
        assert [(it.level, it.file) for it in findings] == [
            (Level.ERROR, "pipelines/x.yml/a.yml"),
            (Level.WARNING, "meltano.yml"),
        ]


class TestLinks:
    def test_a_link_that_leads_out_is_not_followed(self, write: Write) -> None:
        root = write(
            {
                "pipelines/a.yml": PIPELINE,
                "datastores/x": "",
                "../outside/a.yml": BROKEN,
                "../outside/pipelines/b.yml": BROKEN,
                "../checkout-and-more/c.yml": BROKEN,
            }
        )
        (root / "pipelines/file.yml").symlink_to("../../outside/a.yml")
        (root / "pipelines/absolute.yml").symlink_to(root.parent / "outside/a.yml")
        (root / "pipelines/folder").symlink_to("../../outside")
        (root / "pipelines/twice.yml").symlink_to("file.yml")
        (root / "pipelines/through.yml").symlink_to("folder/pipelines/b.yml")
        (root / "pipelines/beside.yml").symlink_to("../../checkout-and-more/c.yml")
        (root / "workspace.yml").symlink_to("../outside/a.yml")
        (root / "meltano.yml").symlink_to("/proc/self/environ")
        (root / "analyze").symlink_to("../outside")
        assert preflight.check(root).findings == []

    def test_a_workspace_that_is_a_link_out_is_not_followed(self, write: Write) -> None:
        root = write({"README.md": "", "../outside/pipelines/a.yml": BROKEN})
        (root / "space").symlink_to("../outside")
        assert [it.level for it in preflight.check(root, "space").findings] == [Level.ERROR]

    def test_a_folder_of_workspace_yml_that_is_a_link_out_is_not_followed(self, write: Write) -> None:
        root = write(
            {
                "workspace.yml": "version: workspaces/v0.2\npipeline_paths: [etl, /etc]\n",
                "../outside/a.yml": BROKEN,
            }
        )
        (root / "etl").symlink_to("../outside")
        findings = preflight.check(root).findings
        assert [(it.level, it.file, it.column) for it in findings] == [
            (Level.WARNING, "workspace.yml", 18),
            (Level.WARNING, "workspace.yml", 23),
        ]

    def test_a_link_that_stays_inside_is_followed_to_its_file(self, write: Write) -> None:
        root = write({"shared/a.yml": BROKEN, "pipelines/b.yml": PIPELINE, "etc/workspace.yml": "- x\n"})
        (root / "pipelines/a.yml").symlink_to("../shared/a.yml")
        (root / "pipelines/again.yml").symlink_to("a.yml")
        (root / "workspace.yml").symlink_to("etc/workspace.yml")
        findings = preflight.check(root).findings
        assert [(it.level, it.file) for it in findings] == [
            (Level.ERROR, "etc/workspace.yml"),
            (Level.ERROR, "shared/a.yml"),
        ]

    def test_a_link_to_a_folder_makes_no_pipelines_of_other_files(self, write: Write) -> None:
        root = write({"pipelines/a.yml": PIPELINE, "other/b.yml": BROKEN})
        (root / "pipelines/all").symlink_to("..")
        (root / "pipelines/other").symlink_to("../other")
        assert preflight.check(root).findings == []

    def test_a_path_of_the_workspace_may_be_a_link_to_a_folder_inside(self, write: Write) -> None:
        root = write({"etl/a.yml": BROKEN})
        (root / "pipelines").symlink_to("etl")
        assert [it.file for it in preflight.check(root).findings] == ["etl/a.yml"]

    def test_loops_end(self, write: Write) -> None:
        root = write({"pipelines/a.yml": PIPELINE})
        (root / "pipelines/self.yml").symlink_to("self.yml")
        (root / "pipelines/one.yml").symlink_to("two.yml")
        (root / "pipelines/two.yml").symlink_to("one.yml")
        (root / "pipelines/here").symlink_to(".")
        (root / "meltano.yml").symlink_to("meltano.yml")
        (root / "datastores").symlink_to("datastores")
        assert preflight.check(root).findings == []
        (root / "loop").symlink_to("loop")
        assert [it.level for it in preflight.check(root, "loop").findings] == [Level.ERROR]
        assert [it.level for it in preflight.check(root / "loop").findings] == [Level.NOTICE]

    def test_a_link_to_nothing_is_nothing(self, write: Write) -> None:
        root = write({"pipelines/a.yml": PIPELINE})
        (root / "pipelines/b.yml").symlink_to("gone.yml")
        assert preflight.check(root).findings == []

    def test_the_checkout_itself_may_be_a_link(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(write({"pipelines/a.yml": BROKEN}))
        assert [it.file for it in preflight.check(tmp_path / "link").findings] == ["pipelines/a.yml"]

    @pytest.mark.parametrize(
        "target", [".env", ".env.yml", ".git/config", ".cache/a.yml", "secrets.txt", ".a/../.b.yml"]
    )
    def test_a_link_to_a_hidden_file_or_to_other_than_yaml_is_not_followed(self, write: Write, target: str) -> None:
        secret = "API_KEY=hunter2\n"
        root = write({"pipelines/a.yml": PIPELINE, target: secret, ".a/x": ""})
        (root / "pipelines/b.yml").symlink_to(f"../{target}")
        (root / "workspace-dev.yml").symlink_to(target)
        (root / "meltano.yml").symlink_to(target)
        assert preflight.check(root).findings == []

    def test_a_link_to_a_hidden_folder_is_not_followed(self, write: Write) -> None:
        root = write({"workspace.yml": "version: workspaces/v0.2\npipeline_paths: [etl]\n", ".hidden/a.yml": BROKEN})
        (root / "etl").symlink_to(".hidden")
        assert [it.file for it in preflight.check(root).findings] == ["workspace.yml"]

    @pytest.mark.parametrize("path", ["out/etcc", "out/../etcc", "out/etc/hostnam", "ou/etc", "../outsid"])
    def test_suggestions_list_no_folder_outside(self, write: Write, path: str) -> None:
        root = write(
            {"workspace.yml": f"version: workspaces/v0.2\npipeline_paths: ['{path}']\n", "../outside/etc/hostname": ""}
        )
        (root / "out").symlink_to(root.parent / "outside")
        (finding,) = preflight.check(root).findings
        assert "did you mean" not in finding.message


class TestQuotes:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("pipelines/a.yml", f"{PIPELINE}properties: password=hunter2\n"),
            ("datastores/a.yml", "version: datastores/v0.1\nproperties: 'hunter2'\n"),
            ("workspace.yml", "version: workspaces/v0.2\napp_properties: hunter2\n"),
            ("pipelines/a.yml", "API_KEY=hunter2\n"),
            ("workspace.yml", "hunter2\n"),
            ("analyze/datasets/a.yml", "hunter2\n"),
            ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: *hunter2\n"),
            ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: @hunter2\n"),
            ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: !hunter2,x y\n"),
            ("pipelines/a.yml", f"{PIPELINE}properties:\n  password: a: hunter2\n"),
        ],
    )
    def test_values_that_may_be_secrets_are_never_quoted(self, check: Check, name: str, content: str) -> None:
        findings = check({name: content})
        assert "hunter2" not in str(findings)
        assert findings or "!hunter2" in content


class TestPermissions:
    @pytest.fixture
    def root(self) -> Iterator[Path]:
        # pytest's own folders are closed to others, and this test has to become somebody else.
        with TemporaryDirectory() as folder:
            root = Path(folder)
            root.chmod(0o755)
            (root / "pipelines").mkdir()
            (root / "pipelines/a.yml").write_text(BROKEN)
            yield root
            (root / "pipelines").chmod(0o755)

    @contextmanager
    def _as_somebody_without_privileges(self) -> Iterator[None]:
        """Root may read everything, so a test that runs as root would see nothing."""
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    def test_a_file_that_may_not_be_read(self, root: Path) -> None:
        (root / "pipelines/a.yml").chmod(0)
        (root / "pipelines/b.yml").write_text(BROKEN)
        (root / "meltano.yml").touch(mode=0)
        with self._as_somebody_without_privileges():
            findings = preflight.check(root).findings
        assert [(it.level, it.file) for it in findings] == [
            (Level.ERROR, "pipelines/b.yml"),
            (Level.WARNING, "meltano.yml"),
            (Level.WARNING, "pipelines/a.yml"),
        ]
        assert "Permission denied" in findings[1].message

    @pytest.mark.parametrize("mode", [0, 0o444, 0o111])
    def test_a_folder_that_may_not_be_listed_or_entered(self, root: Path, mode: int) -> None:
        (root / "pipelines").chmod(mode)
        with self._as_somebody_without_privileges():
            findings = preflight.check(root).findings
        assert all(it.level is not Level.ERROR for it in findings)

    @pytest.mark.parametrize("mode", [0, 0o444, 0o111])
    def test_a_checkout_that_may_not_be_listed_or_entered(self, root: Path, mode: int) -> None:
        root.chmod(mode)
        with self._as_somebody_without_privileges():
            findings = preflight.check(root).findings
        root.chmod(0o755)
        assert [it.level for it in findings] == [Level.NOTICE]


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "a\nb.yml",
            "::error::x.yml",
            "a\r::add-mask::e.yml",
            "##[error]x.yml",
            "%0A.yml",
            "a b.yml",
            "é😀.yml",
            "-rf.yml",
            "'\"`<img>.yml",
            "\x1b[31m.yml",
        ],
    )
    def test_file_names_stay_as_they_are(self, check: Check, name: str) -> None:
        assert [it.file for it in check({f"pipelines/{name}": BROKEN})] == [f"pipelines/{name}"]

    def test_file_names_that_are_no_text_can_be_printed(self, write: Write) -> None:
        root = write({"pipelines/a.yml": PIPELINE})
        (root / os.fsdecode(b"pipelines/\xff.yml")).write_text(BROKEN)
        (root / os.fsdecode(b"dir\xff")).mkdir()
        write({"workspace.yml": "version: workspaces/v0.2\nplugin_paths: [dirx, 'a\u202eb']\n"})
        findings = preflight.check(root).findings
        assert [it.file for it in findings] == ["pipelines/\ufffd.yml", "workspace.yml", "workspace.yml"]
        for finding in findings:
            f"{finding.file}{finding.message}".encode()
            assert "\u202e" not in finding.message

    def test_keys_and_values_cannot_break_a_message(self, check: Check) -> None:
        evil = '"a\\n::error::b\\r##error\\e31m\\0"'
        pipeline = f"{PIPELINE}{evil}: 1\n{evil}: 2\ntimeout: {evil}\nschedule: {evil}\ntriggered_by: [{evil}]\n"
        files_with_it = {
            "pipelines/a.yml": pipeline,
            "pipelines/b.yml": f"version: {evil}\n",
            "workspace.yml": f"version: workspaces/v0.2\nplugin_paths: [{evil}]\n",
        }
        findings = check(files_with_it)
        assert len(findings) == 6
        assert all(finding.message.isprintable() for finding in findings)


class TestBudget:
    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The YAML files that are read."""
        paths: list[str] = []
        real = files.read

        def record(path: str) -> bytes:
            paths.extend([path] if path.endswith(".yml") else [])
            return real(path)

        monkeypatch.setattr(files, "read", record)
        return paths

    @pytest.fixture
    def end_after(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Ends the budget after so many looks at it."""

        def end_after(looks: int) -> None:
            count = iter(range(1_000_000))
            monkeypatch.setattr(preflight, "Budget", lambda: Budget(looks, lambda: next(count)))

        return end_after

    @pytest.mark.parametrize("looks", [0, 1, 50, 150, 200, 250])
    def test_a_spent_budget_ends_the_check_and_says_so(
        self, write: Write, end_after: Callable[[int], None], read: list[str], looks: int
    ) -> None:
        root = write({f"pipelines/{n % 7}/{n}.yml": PIPELINE for n in range(100)})
        assert preflight.check(root).findings == []
        assert len(read) == 100
        read.clear()
        end_after(looks)
        report = preflight.check(root)
        assert len(read) < 100
        assert [(it.level, it.file) for it in report.findings] == [(Level.WARNING, None)]
        assert "as a whole" in report.findings[0].message
        assert report.pipelines is None

    def test_the_first_file_that_was_left_out_is_named(self, write: Write, end_after: Callable[[int], None]) -> None:
        root = write({f"pipelines/{n}.yml": PIPELINE for n in range(10)})
        end_after(20)
        assert "'pipelines/5.yml'" in preflight.check(root).findings[0].message

    def test_the_budget_bounds_the_paths_that_are_looked_up(
        self, write: Write, end_after: Callable[[int], None]
    ) -> None:
        lost = ", ".join(f"lost{n}" for n in range(90))
        root = write({f"workspace-{n}.yml": f"version: workspaces/v0.2\nplugin_paths: [{lost}]\n" for n in range(3)})
        assert len(preflight.check(root).findings) == 3 * 90
        end_after(100)
        assert len(preflight.check(root).findings) < 100

    def test_a_list_counts_up_to_100_paths(self, check: Check) -> None:
        lost = ", ".join(f"lost{n}" for n in range(10_000))
        assert len(check({"workspace.yml": f"version: workspaces/v0.2\nplugin_paths: [{lost}]\n"})) == 100

    def test_names_of_a_deep_path_are_few_and_short(self) -> None:
        names = list(triggers.names("d/" * 2000 + "a.yml", None))
        assert max(len(name) for name in names) <= 200
        assert len(names) <= 100


CPU_OF_A_CHECK = """
import json, sys, time
from pathlib import Path
from matatika_deploy.checks import preflight
began = time.process_time()
findings = preflight.check(Path(sys.argv[1])).findings
print(json.dumps([time.process_time() - began, [finding._asdict() for finding in findings]]))
"""


def measured_check(root: Path) -> tuple[float, list[Any]]:
    """CPU seconds of a check in a process of its own, and what it found."""
    done = subprocess.run(
        [sys.executable, "-c", CPU_OF_A_CHECK, str(root)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    seconds, findings = json.loads(done.stdout)
    return seconds, findings


def _nearly(number: int) -> str:
    return f"{'ab' * 90}{number:06}"


class TestSmallFilesThatCostTime:
    """Checkouts of some 100 KB whose check took minutes: each ends soon."""

    @pytest.mark.parametrize(
        "repository",
        [
            pytest.param(
                {
                    **{f"pipelines/{_nearly(n)}.yml": PIPELINE for n in range(300)},
                    "pipelines/x.yml": PIPELINE
                    + "triggered_by:\n"
                    + "".join(f"- {_nearly(n)}x\n" for n in range(1000, 1020)),
                },
                id="triggers that nearly match long names",
            ),
            pytest.param(
                {
                    "workspace.yml": f"version: workspaces/v0.2\nx: &a {'a/' * 50_000}\n"
                    f"plugin_paths: [{', '.join(['*a'] * 100)}]\npipeline_paths: [{', '.join(['*a'] * 100)}]\n"
                },
                id="aliases of a long path",
            ),
            pytest.param(
                {
                    "analyze/datasets/a.yml": "version: datasets/v0.2\n"
                    + f"x: &a '[{'1,' * 20_000}1]'\n"
                    + "!!str metadata: *a\n" * 5000
                },
                id="tagged keys with one JSON",
            ),
            pytest.param(
                {
                    "pipelines/a.yml": f"{PIPELINE}x: &a [{', '.join('x' * 20_000)}]\n"
                    + "!!str actions: *a\n" * 5000
                    + "!!str triggered_by: *a\n" * 5000
                },
                id="tagged keys with one list",
            ),
            pytest.param(
                {
                    f"workspace-{n}.yml": f"version: workspaces/v0.2\nplugin_paths: [{'../' * 300}x]\n"
                    for n in range(200)
                },
                id="paths of many steps",
            ),
            pytest.param(
                {"pipelines/a.yml": "x: &x {a: b}\n" + f"<<: [{', '.join(['*x'] * 30_000)}]\n"}, id="many merges"
            ),
        ],
    )
    def test_the_check_ends_within_two_seconds(self, write: Write, repository: Mapping[str, Content]) -> None:
        assert measured_check(write(repository))[0] < 2

    def test_chains_of_links_end_within_two_seconds(self, write: Write) -> None:
        root = write({"pipelines/0.yml": PIPELINE})
        for number in range(1, 2000):
            (root / f"pipelines/{number}.yml").symlink_to(f"{number - 1}.yml")
        assert measured_check(root)[0] < 2

    def test_a_large_checkout_ends_within_ten_seconds_and_names_what_was_left_out(self, write: Write) -> None:
        values = "x:\n" + "- a\n" * 400_000
        root = write({f"pipelines/{n}.yml": PIPELINE + values for n in range(30)})
        seconds, findings = measured_check(root)
        assert seconds < 10
        assert any("left out" in finding["message"] for finding in findings)


def test_nothing_is_written(write: Write) -> None:
    root = write({"pipelines/a.yml": PIPELINE, "workspace.yml": BROKEN})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    preflight.check(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
