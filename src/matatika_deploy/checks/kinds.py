"""The kinds of file that a workspace repository holds: where they lie, their versions, the types of their keys.

https://docs.meltano.com/reference/cloud/dataml/pipelineml/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique


@unique
class Type(Enum):
    """What the value under a key has to be."""

    STRING = "a string"
    STRINGS = "a list of strings"
    NUMBER = "a number"
    MAP = "a map"
    JSON = "a string that holds JSON"
    CRON = "a string that holds cron"


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
        "name": Type.STRING,
        "domains": Type.STRINGS,
        "dataset_paths": Type.STRINGS,
        "channel_paths": Type.STRINGS,
        "pipeline_paths": Type.STRINGS,
        "plugin_paths": Type.STRINGS,
        "data_store_paths": Type.STRINGS,
        "default_data_store": Type.STRING,
        "state_data_store": Type.STRING,
        "pipelines_image": Type.STRING,
        "image_url": Type.STRING,
        "app_properties": Type.MAP,
    },
)
PIPELINE = Kind(
    name="pipeline",
    family="pipelines/",
    versions=("pipelines/v0.1",),
    must_be_map=True,
    types={
        "data_components": Type.STRINGS,
        "actions": Type.STRINGS,
        "triggered_by": Type.STRINGS,
        "inline_script": Type.STRING,
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
        "title": Type.STRING,
        "source": Type.STRING,
        "questions": Type.STRING,
        "description": Type.STRING,
        "query": Type.STRING,
        "rawData": Type.STRING,
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
    types={"name": Type.STRING, "description": Type.STRING, "picture": Type.STRING, "image": Type.STRING},
    paths_key="channel_paths",
    default_paths=("analyze/channels",),
)
DATA_STORE = Kind(
    name="datastore",
    family="datastores/",
    versions=("datastores/v0.1",),
    types={"data_plugin": Type.STRING, "properties": Type.MAP},
    paths_key="data_store_paths",
    default_paths=("datastores",),
)
#: A Meltano project file. Meltano checks its keys itself; what counts here is that it can be read.
MELTANO = Kind(name="Meltano project", family="", versions=("1",), types={})

#: The kinds whose files lie in folders of their own.
IN_FOLDERS = (PIPELINE, DATASET, CHANNEL, DATA_STORE)
#: The keys of `workspace.yml` that list paths; for plugins no kind of file is described.
PATHS_KEYS = (*(kind.paths_key for kind in IN_FOLDERS), "plugin_paths")
