"""The kinds of file that a workspace repository holds: where they lie, their versions, the types of their keys.

https://docs.meltano.com/reference/cloud/dataml/pipelineml/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Type(Enum):
    """What the value under a key has to be."""

    TEXT = "text"
    TEXTS = "a list of texts"
    NUMBER = "a number"
    MAP = "a map"
    JSON = "text that holds JSON"
    CRON = "text that holds cron"


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of file.

    `versions` are those whose keys `types` describes. `family` is what all versions of the kind start with, newer ones
    included. Files of a kind that has `default_paths` lie anywhere below them, or below those that `workspace.yml`
    lists under `paths_key`; the others lie in the workspace's root.
    """

    name: str
    family: str
    versions: tuple[str, ...]
    types: Mapping[str, Type]
    must_be_map: bool = False
    paths_key: str = ""
    default_paths: tuple[str, ...] = ()


WORKSPACE = Kind(
    name="workspace",
    family="workspaces/",
    versions=("workspaces/v0.2", "workspaces/v0.1"),
    must_be_map=True,
    types={
        "name": Type.TEXT,
        "domains": Type.TEXTS,
        "dataset_paths": Type.TEXTS,
        "channel_paths": Type.TEXTS,
        "pipeline_paths": Type.TEXTS,
        "plugin_paths": Type.TEXTS,
        "data_store_paths": Type.TEXTS,
        "default_data_store": Type.TEXT,
        "state_data_store": Type.TEXT,
        "pipelines_image": Type.TEXT,
        "image_url": Type.TEXT,
        "app_properties": Type.MAP,
    },
)
PIPELINE = Kind(
    name="pipeline",
    family="pipelines/",
    versions=("pipelines/v0.1",),
    must_be_map=True,
    types={
        "data_components": Type.TEXTS,
        "actions": Type.TEXTS,
        "triggered_by": Type.TEXTS,
        "inline_script": Type.TEXT,
        "timeout": Type.NUMBER,
        "max_retries": Type.NUMBER,
        "properties": Type.MAP,
        "schedule": Type.CRON,
    },
    paths_key="pipeline_paths",
    default_paths=("pipelines",),
)
DATASET = Kind(
    name="dataset",
    family="datasets/",
    versions=("datasets/v0.2", "datasets/v0.1"),
    types={
        "title": Type.TEXT,
        "source": Type.TEXT,
        "questions": Type.TEXT,
        "description": Type.TEXT,
        "query": Type.TEXT,
        "rawData": Type.TEXT,
        "metadata": Type.JSON,
        "visualisation": Type.JSON,
    },
    paths_key="dataset_paths",
    default_paths=("analyze/datasets",),
)
CHANNEL = Kind(
    name="channel",
    family="channels/",
    versions=("channels/v0.1",),
    types={"name": Type.TEXT, "description": Type.TEXT, "picture": Type.TEXT, "image": Type.TEXT},
    paths_key="channel_paths",
    default_paths=("analyze/channels",),
)
DATA_STORE = Kind(
    name="datastore",
    family="datastores/",
    versions=("datastores/v0.1",),
    types={"data_plugin": Type.TEXT, "properties": Type.MAP},
    paths_key="data_store_paths",
    default_paths=("datastores",),
)
#: A Meltano project file. Meltano checks its keys itself; what counts here is that it can be read.
MELTANO = Kind(name="Meltano project", family="", versions=("1",), types={})

#: The kinds whose files lie in folders of their own.
IN_FOLDERS = (PIPELINE, DATASET, CHANNEL, DATA_STORE)
#: The keys of `workspace.yml` that list paths; for plugins no kind of file is described.
PATHS_KEYS = (*(kind.paths_key for kind in IN_FOLDERS), "plugin_paths")
