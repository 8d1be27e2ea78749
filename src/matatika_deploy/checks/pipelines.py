"""The pipeline files of a workspace: their names, and the pipelines that trigger them."""

from collections.abc import Collection, Iterator

from matatika_deploy.checks import plan, rules, triggers
from matatika_deploy.checks.document import Document, Map, Scalar
from matatika_deploy.checks.kinds import PIPELINE, Kind
from matatika_deploy.checks.plan import PipelineFile


class Pipelines:
    """What is known of all pipeline files.

    `names` has every name that a `triggered_by` can use, by its normal form; `references` has the names that are used,
    each with its file.
    """

    def __init__(self) -> None:
        self.files: list[PipelineFile] = []
        self.names: dict[str, str] = {}
        self.references: list[tuple[str, Scalar]] = []

    def add(self, file: str, path: str, folder: str, document: Document | None, kinds: Collection[Kind]) -> None:
        """Add a file.

        Arguments:
            file: the file's path in the repository, as findings name it.
            path: its real path.
            folder: the folder of pipelines that it was found in, or the file itself.
            document: its content; None if it was not read.
            kinds: those in whose folders it lies.
        """
        root = document.root if document else None
        for name in triggers.names(file, root):
            self.names.setdefault(triggers.normal(name), name)
        settings = None
        if document and rules.kind_of(document, kinds) is PIPELINE and isinstance(root, Map):
            self.references += ((file, item) for item in triggers.references(root))
            settings = plan.settings_of(root)
        elif document and rules.may_be(document, PIPELINE):
            settings = {}  # of a newer version, whose keys may mean something else
        self.files.append(PipelineFile(file, _name(path, folder), settings, _given_name(root)))

    def same_names(self) -> Iterator[tuple[str, str, str]]:
        """Give each pair of files that back one pipeline, with its name: the first file, and the later one."""
        seen: dict[str, str] = {}
        for file in self.files:
            if file.settings is None:
                continue
            for name in file.slugs:
                first = seen.setdefault(name, file.path)
                if first != file.path:
                    yield first, file.path, name
                    break


def _name(path: str, folder: str) -> str:
    """Give the path of a file in its folder of pipelines, without suffix; the platform makes a slug of it."""
    inner = path.removeprefix(f"{folder}/")
    name = path.rpartition("/")[2] if inner == path else inner
    return name.removesuffix(".yml").removesuffix(".yaml").encode(errors="surrogateescape").decode(errors="replace")


def _given_name(root: object) -> str | None:
    name = root.get("name") if isinstance(root, Map) else None
    return name.text if isinstance(name, Scalar) and not name.is_null and not name.tagged else None
