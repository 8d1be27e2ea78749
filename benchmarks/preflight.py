"""The check of a repository's YAML, against a bare pass of the same parser over the same files."""

import gc
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml

from benchmarks.figures import Row, Section, Table, alternate
from matatika_deploy.checks import preflight

FILES = 10_000
MEGABYTES = 50
ROUNDS = 5
AT_MOST = 1.3


def run() -> Section:
    """Measure both over a workspace of 10,000 files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = sum(write(root / name, text) for name, text in workspace())
        paths = sorted(root.rglob("*.yml"))
        check, bare = alternate([partial(seconds_of_check, root), partial(seconds_of_parser, paths)], ROUNDS)
    ratio = check.over(bare)
    table = Table(["Program", f"{len(paths):,} files, {size / 1e6:.0f} MB", "Against the parser"])
    table.add("preflight", check.show(1, "s"), ratio.show(2))
    table.add("`yaml.load(file, yaml.CSafeLoader)`", bare.show(1, "s"), "")
    return Section(
        "Preflight",
        [Row("Preflight", ratio.show(2, "times"), f"at most {AT_MOST} times", ratio.median <= AT_MOST)],
        f"Pipelines, datasets with queries and data, channels and datastores, without a mistake; the files are in the "
        f"page cache. {ROUNDS} rounds in turns, in this process.\n\n{table}",
    )


def seconds_of_check(root: Path) -> float:
    """Seconds that preflight takes for a repository without findings."""
    gc.collect()
    began = time.perf_counter()
    findings = preflight.check(root).findings
    seconds = time.perf_counter() - began
    if findings:
        raise RuntimeError(f"there should be no finding: {findings[0]}")
    return seconds


def seconds_of_parser(paths: list[Path]) -> float:
    """Seconds that it takes to load all files with the parser alone."""
    gc.collect()
    began = time.perf_counter()
    for path in paths:
        with path.open("rb") as file:
            yaml.load(file, yaml.CSafeLoader)
    return time.perf_counter() - began


def write(path: Path, text: str) -> int:
    """Write a file, and its folders; give its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(text.encode())


def workspace() -> Iterator[tuple[str, str]]:
    """Names and texts of a large workspace's files, of equal share in size for each of a kind."""
    yield "workspace.yml", "version: workspaces/v0.2\nname: Large workspace\n"
    for number in range(1, FILES):
        folder = f"{number // 100:03}"
        if number % 10 == 0:
            yield f"pipelines/{folder}/pipeline-{number}.yml", pipeline(number)
        elif number % 10 == 1:
            yield f"analyze/channels/{folder}/channel-{number}.yml", channel(number)
        elif number % 10 == 2:
            yield f"datastores/{folder}/store-{number}.yml", datastore(number)
        else:
            yield f"analyze/datasets/{folder}/dataset-{number}.yml", dataset(number)


def pipeline(number: int) -> str:
    """A pipeline of many components."""
    components = "".join(f"  - tap-{number}-{part}\n" for part in range(60))
    properties = "".join(f"  tap-{number}.setting_{part}: value {part}\n" for part in range(60))
    return (
        f"version: pipelines/v0.1\nschedule: 0 0 {number % 24} * * *\ntimeout: 300\nmax_retries: 2\n"
        f"data_components:\n{components}actions:\n  - dbt run\nproperties:\n{properties}"
    )


def channel(number: int) -> str:
    """A channel with a long description."""
    sentences = "".join(f"  Sentence {part} of what channel {number} is about, and for whom.\n" for part in range(70))
    return f"version: channels/v0.1\nname: Channel {number}\npicture: channel.png\ndescription: |\n{sentences}"


def datastore(number: int) -> str:
    """A datastore of many properties."""
    properties = "".join(f"  schema_mapping_{part}: database_{number}.schema_{part}\n" for part in range(95))
    return f"version: datastores/v0.1\ndata_plugin: target-postgres\nproperties:\n{properties}"


def dataset(number: int) -> str:
    """A dataset with a query, metadata, and how it is shown."""
    columns = "".join(f'    orders.column_{part} as "Column {part}",\n' for part in range(45))
    fields = {f"column_{part}": {"label": f"Column {part}", "type": "number"} for part in range(45)}
    metadata = json.dumps({"name": f"dataset_{number}", "columns": fields}, indent=2).replace("\n", "\n  ")
    shown = json.dumps({"chartjs-chart": {"chartType": "line", "options": {"scales": {}}}})
    return (
        f"version: datasets/v0.2\ntitle: Dataset {number}\nsource: Orders\nquestions: How many orders were there?\n"
        f"description: >-\n  Orders of the last weeks by region and product.\nvisualisation: |\n  {shown}\n"
        f"metadata: |\n  {metadata}\nquery: |\n    select\n{columns}    1 as one\n    from orders\n"
    )
