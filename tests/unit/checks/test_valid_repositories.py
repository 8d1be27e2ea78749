"""Repositories as they have grown for years, all of which deploy: none may have a finding of level error."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import preflight
from matatika_deploy.checks.kinds import CHANNEL, DATA_STORE, DATASET, MELTANO, PIPELINE, WORKSPACE, Kind, Type
from matatika_deploy.findings import Level
from tests.support.repository import write_files

# --- Values, each in the many ways in which YAML can write them. A continuation line is indented by two blanks. ---

WORDS = st.text(alphabet=f"{string.ascii_letters}{string.digits} éß漢😀'\"\\#:,[]{{}}&*!|>%@`-?\t", max_size=30)
NULLS = st.sampled_from(["", " ~", " null", " Null", " # nothing yet"])
TAGGED = st.sampled_from(
    [" !reference [x, y]", " !env X", " !secret a", " !!set {a, b}", " !x {y: z}", " !!binary aGk="]
)


def block(text: str, indicator: str) -> str:
    """A block scalar; blank lines in it may or may not be indented."""
    return f" {indicator}\n" + "\n".join(f"  {line}" if line.strip() else "" for line in text.splitlines())


def single_quoted(text: str) -> str:
    return " '" + text.replace("\t", " ").replace("\n", " ").replace("'", "''") + "'"


def double_quoted(text: str) -> str:
    return f" {json.dumps(text.replace('😀', ''))}"  # the same in YAML, except that it has no surrogates


def string_list(items: list[str], layout: str) -> str:
    if layout == "flow" or not items:
        return f" [{', '.join(items)}]"
    if layout == "flow on lines":
        return " [\n" + "".join(f"  {item},\n" for item in items) + "  ]"
    return "".join(f"\n{layout}- {item}" for item in items)


def json_text(value: object, indent: int | None, is_ascii: bool) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=is_ascii)


def yaml_map(value: dict[str, object], is_flow: bool | None) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=is_flow, allow_unicode=True)
    return "".join(f"\n  {line}" if line.strip() else "\n" for line in dumped.splitlines())


STRINGS = (
    WORDS.map(double_quoted)
    | WORDS.map(single_quoted)
    | st.builds(
        block, WORDS.map("x\n\n  indented\n\ttab\n# no comment\n{}".format), st.sampled_from(["|-", ">", "|2+"])
    )
    | st.sampled_from(
        [
            *(" plain text over\n  two lines", " http://example.com/a?b=c#d", " &anchor anchored", " ! x", " ''"),
            *(" 2023", " true", " 2023-01-01", " 1.5e3", " .inf", " 12:30", " 0x1F", " 08", " <<", " =", " yes"),
        ]
    )
)
STRING_LISTS = st.builds(
    string_list,
    st.lists(st.sampled_from(["a", "tap-x", "dbt:run", "'q'", "1", "~", "true", "!secret x", "&i b"]), max_size=4),
    st.sampled_from(["", "  ", "    ", "flow", "flow on lines"]),
) | st.just(" {}")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
JSON = st.builds(json_text, JSON_VALUES, st.sampled_from([None, 2]), st.booleans())
NUMBERS = st.integers(0, 86400)
CRONS = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(["0", "*", "*/10", "0,30", "5/15"]),
        st.sampled_from(["0", "59", "*", "0-10", "*/5"]),
        st.sampled_from(["9", "9-17", "*", "0,12", "23"]),
        st.sampled_from(["*", "?", "1", "L", "LW", "15W", "L-3", "1-31/2"]),
        st.sampled_from(["*", "JAN", "jan-mar", "12", "1,7"]),
        st.sampled_from(["*", "?", "MON-FRI", "sun", "0", "7", "MON#1", "5L"]),
    ),
)
VALUES = {
    Type.STRING: STRINGS,
    Type.STRINGS: STRING_LISTS,
    Type.STRING_OR_STRINGS: STRINGS | STRING_LISTS,
    Type.NUMBER: NUMBERS.flatmap(lambda n: st.sampled_from([f" {n}", f" '{n}'", f" {n}.0", f" {n:_}", f" {n:#x}"]))
    | st.sampled_from([" +1", " 1e3", " ${TIMEOUT}", " '{{ timeout }}'", " ''"]),
    Type.MAP: st.builds(
        yaml_map,
        st.dictionaries(st.text(string.ascii_lowercase + ".", min_size=1, max_size=8), JSON_VALUES, max_size=4),
        st.sampled_from([True, False, None]),
    ),
    Type.JSON: st.builds(block, JSON, st.just("|-")) | JSON.map(single_quoted) | st.sampled_from([" ''", " '  '"]),
    Type.CRON: CRONS.map(single_quoted)
    | CRONS.map(lambda cron: single_quoted(cron.replace(" ", "  ")))
    | st.builds(block, CRONS, st.sampled_from(["|-", ">-"]))
    | st.sampled_from([" 0 0 9 * * MON-FRI", " ''", " ${CRON}", ' "{{ cron }}"', " '@daily'", " '-'"]),
}
VERSIONS = {  # described, newer, older than what is described
    WORKSPACE: ["workspaces/v0.1", "workspaces/v0.2", "workspaces/v0.3", "workspaces/v1"],
    PIPELINE: ["pipelines/v0.1", "pipelines/v0.2", "pipelines/v0.0"],
    DATASET: ["datasets/v0.1", "datasets/v0.2", "datasets/v0.3", "datasets/v0"],
    CHANNEL: ["channels/v0.1", "channels/v2"],
    DATA_STORE: ["datastores/v0.1", "datastores/v0.2"],
    MELTANO: ["1", "2", "1.0"],
}
SHARED = ["x-shared: &shared", "  deep: &deep {deeper: [*shared, 1]}", "  deep2: *deep"]


@st.composite
def files_of(draw: st.DrawFn, kind: Kind) -> str:
    """A kind's keys in any order, among other keys, comments and documents."""
    quote = draw(st.sampled_from(["", "", "", "'", '"']))
    entries = []
    if draw(st.integers(0, 9)):
        version = draw(st.sampled_from(VERSIONS[kind]))
        entries.append(f"version:{draw(st.sampled_from([' ', '   ', ' &v ', ' !!str ']))}{quote}{version}{quote}")
    for key, wanted in kind.types.items():
        if draw(st.booleans()):
            entries.append(f"{quote}{key}{quote}:{draw(st.one_of(VALUES[wanted], VALUES[wanted], NULLS, TAGGED))}")
    others = st.one_of(STRINGS, STRING_LISTS, VALUES[Type.MAP], NULLS, TAGGED)
    entries += [f"x-{number}:{value}" for number, value in enumerate(draw(st.lists(others, max_size=3)))]
    entries = draw(st.permutations(entries))
    if draw(st.booleans()):
        entries = [*SHARED, *entries, "<<: *shared"]
    comment = draw(st.sampled_from(["", "# managed by a bundle\n", "\n\n", "   \n"]))
    start = draw(st.sampled_from(["", "", "---\n", "%YAML 1.2\n---\n", "# comment\n---\n", "\ufeff"]))
    end = draw(st.sampled_from(["", "", "...\n", "---\n", "---\nother: [document]\nother2: {}\n"]))
    return start + comment.join(f"{entry}\n" for entry in entries) + end


OTHER_TOOLS_FILES = [
    *("", "# TODO\n", "~\n", "---\n", "models:\n- name: '{{ var(\"x\") }}'\n"),
    "version: 2\nmodels:\n- name: x\n  columns: [{name: id, tests: [unique]}]\n",
    "version: 2\nsources: [{name: x}]\ntitle: [x]\nschedule: hourly\nactions: x\nproperties: y\n",
    "version: '3.9'\nservices:\n  db: &db {image: x}\n  other: {<<: *db}\n",
    "name: my_project\nversion: '1.0.0'\nconfig-version: 2\n",
    "trigger: [main]\npool: {vmImage: x}\nsteps:\n- script: echo $(x)\n",
    "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n",
]
OTHER_NAMES = ["README.md", "load.sql", "run.sh", "model.py", "x.json", ".hidden.yml", "a.yml.disabled", "Makefile"]
FOLDERS = ["", "daily/", "a/b/c/", "tap-google-analytics/", "with blank/", "v1.2/"]


@st.composite
def repositories(draw: st.DrawFn) -> dict[str, bytes]:
    written: dict[str, str] = {}
    at_root = {"workspace.yml": WORKSPACE, "workspace-prod.eu.yml": WORKSPACE, "meltano.yml": MELTANO}
    for name, kind in at_root.items():
        if draw(st.booleans()):
            written[name] = draw(files_of(kind))
    for kind in (PIPELINE, DATASET, CHANNEL, DATA_STORE):
        (folder,) = kind.default_paths
        for number in range(draw(st.integers(0, 2))):
            suffix = draw(st.sampled_from(["yml", "yaml"]))
            written[f"{folder}/{draw(st.sampled_from(FOLDERS))}{number}.{suffix}"] = draw(files_of(kind))
        if draw(st.booleans()):
            written[f"{folder}/schema.yml"] = draw(st.sampled_from(OTHER_TOOLS_FILES))
        written[f"{folder}/{draw(st.sampled_from(OTHER_NAMES))}"] = "\x00: : not YAML"
    windows = draw(st.booleans())
    return {name: (text.replace("\n", "\r\n") if windows else text).encode() for name, text in written.items()}


@settings(max_examples=30)
@given(repositories())
def test_repositories_that_deploy_have_no_errors(repository: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        findings = preflight.check(write_files(Path(folder), repository)).findings
    assert [finding for finding in findings if finding.level is Level.ERROR] == []
