"""The kinds of file that a workspace repository holds: where they lie, their versions, the types of their keys.

https://docs.meltano.com/reference/cloud/dataml/pipelineml/
"""

from collections.abc import Mapping
from enum import Enum, unique


@unique
class Type(Enum):
    """The type of the value under a key."""

    STRING = "a string"
    STRINGS = "a list of strings"
    STRING_OR_STRINGS = "a string or a list of strings"
    NUMBER = "a number"
    MAP = "a map"
    JSON = "a string that holds JSON"
    CRON = "a string that holds cron"


class Kind:
    """One kind of file.

    Arguments:
        name: as findings call it.
        family: the beginning of all versions of the kind, newer ones included; empty if its files need no version.
        versions: those whose keys `types` describes, the newest first.
        types: the type of each key.
        must_be_map: whether a file whose top level is no map is an error.
        paths: the key of `workspace.yml` that lists the folders of the kind's files, and the folders if it lists none;
            empty for a kind whose files lie in the workspace's root.
    """

    def __init__(
        self,
        name: str,
        family: str,
        versions: tuple[str, ...],
        types: Mapping[str, Type],
        *,
        must_be_map: bool = False,
        paths: tuple[str, tuple[str, ...]] = ("", ()),
    ) -> None:
        self.name = name
        self.family = family
        self.versions = versions
        self.types = types
        self.must_be_map = must_be_map
        self.paths_key, self.default_paths = paths


WORKSPACE = Kind(
    name="workspace",
    family="workspaces/",
    versions=("workspaces/v0.2", "workspaces/v0.1"),
    must_be_map=True,
    types={
        "name": Type.STRING,
        "domains": Type.STRING_OR_STRINGS,
        "dataset_paths": Type.STRINGS,
        "channel_paths": Type.STRINGS,
        "pipeline_paths": Type.STRINGS,
        "plugin_paths": Type.STRINGS,
        "data_store_paths": Type.STRINGS,
        "default_data_store": Type.STRING,
        "state_data_store": Type.STRING,
        "pipelines_image": Type.STRING,
        "image_url": Type.STRING,
        "meltano_version": Type.STRING,
        "default_environment": Type.STRING,
        "app_properties": Type.MAP,
    },
)
PIPELINE = Kind(
    name="pipeline",
    family="pipelines/",
    versions=("pipelines/v0.1",),
    must_be_map=True,
    types={
        "name": Type.STRING,
        "label": Type.STRING,
        "data_components": Type.STRINGS,
        "actions": Type.STRINGS,
        "triggered_by": Type.STRINGS,
        "script": Type.STRING,
        "inline_script": Type.STRING,
        "timeout": Type.NUMBER,
        "max_retries": Type.NUMBER,
        "properties": Type.MAP,
        "schedule": Type.CRON,
    },
    paths=("pipeline_paths", ("pipelines",)),
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
    paths=("dataset_paths", ("analyze/datasets",)),
)
CHANNEL = Kind(
    name="channel",
    family="channels/",
    versions=("channels/v0.1",),
    types={"name": Type.STRING, "description": Type.STRING, "picture": Type.STRING, "image": Type.STRING},
    paths=("channel_paths", ("analyze/channels",)),
)
DATA_STORE = Kind(
    name="datastore",
    family="datastores/",
    versions=("datastores/v0.1",),
    types={"name": Type.STRING, "data_plugin": Type.STRING, "properties": Type.MAP},
    paths=("data_store_paths", ("datastores",)),
)
#: A Meltano project file. Meltano checks its keys itself, and has deprecated its version.
MELTANO = Kind(name="Meltano project", family="", versions=("1",), types={})

#: The kinds whose files lie in folders of their own.
IN_FOLDERS = (PIPELINE, DATASET, CHANNEL, DATA_STORE)
#: The keys of `workspace.yml` that list paths; plugins have no kind of file that is described.
PATHS_KEYS = (*(kind.paths_key for kind in IN_FOLDERS), "plugin_paths")
#: The paths that the platform writes into each new `workspace.yml`, whose folders are empty at first, so not in git;
#: `pipeline` in 2022.
PLATFORM_PATHS = frozenset(
    (".meltano/analyze/datasets", "plugins", "pipeline", *(path for kind in IN_FOLDERS for path in kind.default_paths))
)
