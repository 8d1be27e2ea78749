"""Repositories as they have grown for years, all of which deploy: none may have a finding of level error."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import preflight
from matatika_deploy.checks.kinds import CHANNEL, DATA_STORE, DATASET, MELTANO, PIPELINE, WORKSPACE, Kind, Type
from matatika_deploy.findings import Level

# --- Values, each in the many ways in which YAML can write them. A continuation line is indented by two blanks. ---

WORDS = st.text(alphabet=f"{string.ascii_letters}{string.digits} éß漢😀'\"\\#:,[]{{}}&*!|>%@`-?\t", max_size=30)
NULLS = st.sampled_from(["", " ~", " null", " Null", " # nothing yet"])
TAGGED = st.sampled_from(
    [" !reference [x, y]", " !env X", " !secret a", " !!set {a, b}", " !x {y: z}", " !!binary aGk="]
)


def literal(text: str, indicator: str = "|-") -> str:
    """A block scalar; blank lines in it may or may not be indented."""
    return f" {indicator}\n" + "\n".join(f"  {line}" if line.strip() else "" for line in text.splitlines())


def single_quoted(text: str) -> str:
    return " '" + text.replace("\t", " ").replace("'", "''") + "'"


def double_quoted(text: str) -> str:
    return f" {json.dumps(text)}"  # the same in YAML, except that it has no surrogates


@st.composite
def strings(draw: st.DrawFn) -> str:
    text = draw(WORDS)
    block = "x\n\n  indented\n\ttab\n# no comment\n" + text
    return draw(
        st.sampled_from(
            [
                double_quoted(text.replace("😀", "")),
                single_quoted(text),
                literal(block),
                literal(block, ">"),
                literal(block, "|2+"),
                " plain text over\n  two lines",
                *(" 2023", " true", " 2023-01-01", " 1.5e3", " .inf", " 12:30", " 0x1F", " 08", " <<", " =", " yes"),
                " http://example.com/a?b=c#d",
                " &anchor anchored",
                " ! x",
                " ''",
            ]
        )
    )


@st.composite
def json_strings(draw: st.DrawFn) -> str:
    value = draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
            max_leaves=8,
        )
    )
    text = json.dumps(value, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))
    written = draw(st.sampled_from([literal(text), single_quoted(" ".join(text.split("\n"))), " ''", " '  '"]))
    return written if text.strip() else " null"


@st.composite
def string_lists(draw: st.DrawFn) -> str:
    items = draw(
        st.lists(st.sampled_from(["a", "tap-x", "dbt:run", "'q'", "1", "~", "true", "!secret x", "&i b"]), max_size=4)
    )
    indent = draw(st.sampled_from(["", "  ", "    "]))
    block = "".join(f"\n{indent}- {item}" for item in items) or " []"
    flow = f" [{', '.join(items)}]"
    long_flow = " [\n" + "".join(f"  {item},\n" for item in items) + "  ]"
    return draw(st.sampled_from([block, flow, long_flow, " []", " {}"]))


@st.composite
def maps(draw: st.DrawFn) -> str:
    value = draw(
        st.dictionaries(
            st.text(alphabet=string.ascii_lowercase + ".", min_size=1, max_size=8),
            st.none()
            | st.integers()
            | WORDS
            | st.lists(st.integers(), max_size=2)
            | st.dictionaries(st.text("ab"), WORDS),
            max_size=4,
        )
    )
    dumped = yaml.safe_dump(value, default_flow_style=draw(st.sampled_from([True, False, None])), allow_unicode=True)
    return "".join(f"\n  {line}" if line.strip() else "\n" for line in dumped.splitlines())


@st.composite
def numbers(draw: st.DrawFn) -> str:
    number = draw(st.integers(0, 86400))
    spellings = [
        f" {number}",
        f" '{number}'",
        f' "{number}"',
        f" {number}.0",
        f" {number:_}",
        f" {number:#x}",
        " +1",
        " 1e3",
    ]
    return draw(st.sampled_from([*spellings, " ${TIMEOUT}", " '{{ timeout }}'", " ''"]))


@st.composite
def crons(draw: st.DrawFn) -> str:
    fields = [
        draw(st.sampled_from(["0", "*", "*/10", "0,30", "5/15"])),
        draw(st.sampled_from(["0", "59", "*", "0-10", "*/5"])),
        draw(st.sampled_from(["9", "9-17", "*", "0,12", "23"])),
        draw(st.sampled_from(["*", "?", "1", "L", "LW", "15W", "L-3", "1-31/2"])),
        draw(st.sampled_from(["*", "JAN", "jan-mar", "12", "1,7"])),
        draw(st.sampled_from(["*", "?", "MON-FRI", "sun", "0", "7", "MON#1", "5L"])),
    ]
    text = draw(st.sampled_from([" ", "  ", "\t"])).join(fields)
    written = [f" '{text}'", f' "{text}"', literal(text), literal(" ".join(fields), ">-")]
    if fields[0] == "0":
        written.append(f" {' '.join(fields)}")
    return draw(st.sampled_from([*written, " ''", " ${CRON}", ' "{{ cron }}"', " '@daily'", " '-'"]))


VALUES = {
    Type.STRING: strings(),
    Type.STRINGS: string_lists(),
    Type.STRING_OR_STRINGS: strings() | string_lists(),
    Type.NUMBER: numbers(),
    Type.MAP: maps(),
    Type.JSON: json_strings(),
    Type.CRON: crons(),
}
VERSIONS = {  # described, newer, older than what is described
    WORKSPACE: ["workspaces/v0.1", "workspaces/v0.2", "workspaces/v0.3", "workspaces/v1"],
    PIPELINE: ["pipelines/v0.1", "pipelines/v0.2", "pipelines/v0.0"],
    DATASET: ["datasets/v0.1", "datasets/v0.2", "datasets/v0.3", "datasets/v0"],
    CHANNEL: ["channels/v0.1", "channels/v2"],
    DATA_STORE: ["datastores/v0.1", "datastores/v0.2"],
    MELTANO: ["1", "2", "1.0"],
}


# --- Files: a kind's keys in any order, among other keys, comments and documents. ---


@st.composite
def files_of(draw: st.DrawFn, kind: Kind) -> str:
    quote = draw(st.sampled_from(["", "", "", "'", '"']))
    entries = []
    if draw(st.integers(0, 9)):
        version = draw(st.sampled_from(VERSIONS[kind]))
        entries.append(f"version:{draw(st.sampled_from([' ', '   ', ' &v ', ' !!str ']))}{quote}{version}{quote}")
    for key, wanted in kind.types.items():
        if draw(st.booleans()):
            value = draw(st.one_of(VALUES[wanted], VALUES[wanted], NULLS, TAGGED))
            entries.append(f"{quote}{key}{quote}:{value}")
    for number in range(draw(st.integers(0, 3))):
        value = draw(st.one_of(strings(), string_lists(), maps(), NULLS, TAGGED))
        entries.append(f"x-{number}:{value}")
    entries = draw(st.permutations(entries))
    if draw(st.booleans()):
        entries = [
            "x-shared: &shared",
            "  deep: &deep {deeper: [*shared, 1]}",
            "  deep2: *deep",
            *entries,
            "<<: *shared",
        ]
    comment = draw(st.sampled_from(["", "# managed by a bundle\n", "\n\n", "   \n"]))
    text = comment.join(f"{entry}\n" for entry in entries)
    text = draw(st.sampled_from(["", "", "---\n", "%YAML 1.2\n---\n", "# comment\n---\n", "\ufeff"])) + text
    return text + draw(st.sampled_from(["", "", "...\n", "---\n", "---\nother: [document]\nother2: {}\n"]))


OTHER_TOOLS_FILES = st.sampled_from(
    [
        "",
        "# TODO\n",
        "~\n",
        "---\n",
        "version: 2\nmodels:\n- name: x\n  columns: [{name: id, tests: [unique]}]\n",
        "version: 2\nsources: [{name: x}]\ntitle: [x]\nschedule: hourly\nactions: x\nproperties: y\n",
        "models:\n- name: '{{ var(\"x\") }}'\n",
        "version: '3.9'\nservices:\n  db: &db {image: x}\n  other: {<<: *db}\n",
        "name: my_project\nversion: '1.0.0'\nconfig-version: 2\n",
        "trigger: [main]\npool: {vmImage: x}\nsteps:\n- script: echo $(x)\n",
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n",
    ]
)
OTHER_NAMES = ["README.md", "load.sql", "run.sh", "model.py", "x.json", ".hidden.yml", "a.yml.disabled", "Makefile"]
FOLDERS = ["", "daily/", "a/b/c/", "tap-google-analytics/", "with blank/", "v1.2/"]


@st.composite
def repositories(draw: st.DrawFn) -> dict[str, bytes]:
    written: dict[str, str] = {}
    if draw(st.booleans()):
        written["workspace.yml"] = draw(files_of(WORKSPACE))
    if draw(st.booleans()):
        written[f"workspace-{draw(st.sampled_from(['dev', 'prod.eu']))}.yml"] = draw(files_of(WORKSPACE))
    if draw(st.booleans()):
        written["meltano.yml"] = draw(files_of(MELTANO))
    for kind, folder in (
        (PIPELINE, "pipelines"),
        (DATASET, "analyze/datasets"),
        (CHANNEL, "analyze/channels"),
        (DATA_STORE, "datastores"),
    ):
        for number in range(draw(st.integers(0, 2))):
            suffix = draw(st.sampled_from(["yml", "yaml"]))
            written[f"{folder}/{draw(st.sampled_from(FOLDERS))}{number}.{suffix}"] = draw(files_of(kind))
        if draw(st.booleans()):
            written[f"{folder}/schema.yml"] = draw(OTHER_TOOLS_FILES)
        written[f"{folder}/{draw(st.sampled_from(OTHER_NAMES))}"] = "\x00: : not YAML"
    windows = draw(st.booleans())
    return {name: (text.replace("\n", "\r\n") if windows else text).encode() for name, text in written.items()}


@settings(derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(repositories())
def test_repositories_that_deploy_have_no_errors(repository: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        for name, content in repository.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        findings = preflight.check(Path(folder)).findings
    assert [finding for finding in findings if finding.level is Level.ERROR] == []
