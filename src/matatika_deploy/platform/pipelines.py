"""The workspace's pipelines: which there are, which of them the user means, and when one can be run."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from matatika_deploy.errors import PipelineFailed, PlatformError
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import ID
from matatika_deploy.platform.pages import MOST_PAGES, PAGE_SIZE, parse_page
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import InvalidResponse, Request, Response
from matatika_deploy.platform.trigger import Target
from matatika_deploy.text import name_key, one_line

PIPELINE_RUN = "PIPELINE_RUN"


class Pipeline(NamedTuple):
    """A pipeline as the platform last reported it; what it left out, or what cannot be used, is "".

    `fields` is the entry as it was sent, but for its `properties`, which can hold secrets.
    """

    id: str
    name: str
    label: str
    status: str
    repository_path: str
    runs_after_deployments: bool
    fields: Mapping[str, object]

    @property
    def title(self) -> str:
        """What to call it, for people."""
        return self.name or self.label or self.id

    @property
    def names(self) -> tuple[str, ...]:
        """What users may call it: its name, its label and its file."""
        return (self.name, self.label, self.repository_path)


class Named(NamedTuple):
    """A pipeline that the user names.

    `text` is the user's name for it, `names` its own. `before` is the pipeline as it was before the deployment; None if
    the deployment creates it.
    """

    text: str
    names: tuple[str, ...]
    before: Pipeline | None

    @property
    def title(self) -> str:
        """What to call it, for people."""
        return self.before.title if self.before else self.text


# The names of a pipeline, and the pipeline unless it is yet to be created.
_Candidate = tuple[tuple[str, ...], Pipeline | None]


def parse_pipeline(value: object, redactor: Redactor) -> Pipeline:
    """Read a pipeline from parsed JSON, without any credential that it may repeat.

    Raises:
        InvalidResponse: if it is no object.
    """
    if not isinstance(value, dict):
        raise InvalidResponse("expected a pipeline")
    fields = {key: entry for key, entry in value.items() if key != "properties"}
    pipeline_id, triggers = fields.get("id"), fields.get("triggeredBy")
    is_usable = isinstance(pipeline_id, str) and ID.fullmatch(pipeline_id) and not redactor.holds(pipeline_id)

    def text(name: str) -> str:
        entry = fields.get(name)
        return one_line(redactor.clean(entry)) if isinstance(entry, str) else ""

    return Pipeline(
        str(pipeline_id) if is_usable else "",
        text("name"),
        text("label"),
        text("status").upper(),
        text("repositoryPath"),
        any(str(trigger).strip().lower() == "deploy" for trigger in (triggers if isinstance(triggers, list) else ())),
        fields,
    )


def list_pipelines(client: Client, workspace_path: str) -> tuple[Pipeline, ...]:
    """List the workspace's pipelines.

    Raises:
        PlatformError: if there are too many, or as `Client.call` does.
        Cancelled, DeadlineExceeded: as `Client.call` does.
    """
    pipelines: list[Pipeline] = []
    seen: set[tuple[object, ...]] = set()
    for number in range(MOST_PAGES):
        url = f"{client.platform.api_url}{workspace_path}/pipelines?page={number}&size={PAGE_SIZE}"
        request = Request("list the pipelines", "GET", url, client.platform.token)

        def parse(response: Response) -> tuple[list[Pipeline], bool]:
            page = parse_page(response, "pipelines")
            return [parse_pipeline(entry, client.platform.redactor) for entry in page.entries], page.has_more

        listed, has_more = client.call(request, parse)
        # A platform that ignores paging gives the same page again.
        new = [pipeline for pipeline in listed if pipeline[:-1] not in seen]
        seen.update(pipeline[:-1] for pipeline in new)
        pipelines += new
        if not (has_more and new):
            return tuple(pipelines)
    raise PlatformError(f"Could not list the pipelines: there are more than {MOST_PAGES} pages of them.")


def find(
    entries: str,
    pipelines: Iterable[Pipeline],
    created: Iterable[tuple[str, ...]],
    deleted: Iterable[str],
    directory: str = "",
) -> tuple[list[Named], list[str]]:
    """Find the pipelines that the input `run-pipelines` names.

    Arguments:
        entries: names, one a line; a line that names no pipeline is split at its commas.
        pipelines: those of the workspace, before the deployment.
        created: the names of each pipeline that the deployment creates, the one of its file first.
        deleted: the names, as they were sent, of the pipelines that the deployment deletes.
        directory: the workspace's folder in the repository. Paths count from there, or from the repository's root.

    Returns:
        The pipelines in their order, each once, and a sentence for each name that is unknown or could be two.
    """
    removed = set(deleted)
    gone: list[_Candidate] = []
    candidates: list[_Candidate] = []
    for pipeline in pipelines:
        name = pipeline.fields.get("name")
        is_gone = isinstance(name, str) and name in removed
        (gone if is_gone else candidates).append((pipeline.names, pipeline))
    candidates += [(names, None) for names in created]
    found: dict[int, Named] = {}
    problems = []
    for text in _split(entries, lambda line: bool(_meant([line], [*candidates, *gone], directory))):
        meant = _meant([text], candidates, directory)
        if len(meant) == 1:
            found.setdefault(candidates.index(meant[0]), Named(text, *meant[0]))
        elif meant:
            problems.append(f"`run-pipelines` names '{text}', which {len(meant)} pipelines are called")
        elif _meant([text], gone, directory):
            problems.append(f"`run-pipelines` names '{text}', which this deployment deletes, since its file is gone")
        else:
            problems.append(f"`run-pipelines` names '{text}', but no pipeline of the workspace is called that")
    return list(found.values()), problems


def await_ready(
    named: Named,
    read: Callable[[], Iterable[Pipeline]],
    wait: Callable[[str], None],
    directory: str = "",
) -> Pipeline:
    """Wait until a pipeline is listed and ready: one that was just changed is being provisioned.

    Arguments:
        read: lists the pipelines.
        wait: makes a pause; gets a clause that tells what for.

    Raises:
        PipelineFailed: if it cannot become ready, or could be another one.
    """
    while True:
        pipelines = list(read())
        found = [pipeline for pipeline in pipelines if named.before and pipeline.id == named.before.id]
        if not found:
            # Another pipeline may have taken its place, or it is new.
            listed: list[_Candidate] = [(pipeline.names, pipeline) for pipeline in pipelines]
            found = [one for _, one in _meant([named.text, *named.names], listed, directory) if one]
        if len(found) > 1:
            raise PipelineFailed(f"'{named.title}' was not run: {len(found)} pipelines are called that now.")
        status = found[0].status if found else ""
        if status in ("FAILED", "DRAFT"):
            raise PipelineFailed(f"'{named.title}' cannot be run: it is {status}.", "Look at it in the app.")
        if found and status != "PROVISIONING":
            return found[0]
        wait(f"pipeline '{named.title}' {'is PROVISIONING' if found else 'is not listed yet'}")


def require_id(pipeline: Pipeline) -> None:
    """Raise `PlatformError` if the platform gave no id with which the pipeline could be run."""
    if not pipeline.id:
        raise PlatformError(f"Pipeline '{pipeline.title}' cannot be run: the platform gives no usable id for it.")


def run_target(client: Client, pipeline: Pipeline) -> Target:
    """Return what runs a pipeline.

    Raises:
        PlatformError: if the platform gave no id that can be used.
    """
    require_id(pipeline)
    path = f"/pipelines/{quote(pipeline.id, safe='')}/jobs"
    action, url = f"run pipeline '{pipeline.title}'", f"{client.platform.api_url}{path}"
    request = Request(action, "POST", url, client.platform.token, {"Content-Type": "application/json"})
    return Target(request, path, PIPELINE_RUN, pipeline.title)


def _meant(texts: Iterable[str], candidates: Iterable[_Candidate], directory: str) -> list[_Candidate]:
    """Return the candidates that have one of the names; if none has, those whose name is the same as a slug."""
    texts = [text for text in texts if text]
    candidates = list(candidates)
    wanted = {form for text in texts for form in _forms(text, directory)}
    exact = [one for one in candidates if any(not wanted.isdisjoint(_forms(name, directory)) for name in one[0])]
    keys = {name_key(text) for text in texts} - {""}
    return exact or [one for one in candidates if name_key(one[0][0]) in keys]


def _forms(name: str, directory: str) -> set[str]:
    """Return the ways to write a name, which may be the path of a file."""
    path = name.removeprefix("./").strip("/")
    return {form for form in (name, path, f"{directory}/{path}" if directory and path else "") if form}


def _split(entries: str, is_one: Callable[[str], bool]) -> list[str]:
    """Return the names, each once: a line that is none is split at its commas."""
    lines = (line.strip() for line in entries.splitlines())
    parts = (part.strip() for line in lines for part in ([line] if is_one(line) else line.split(",")))
    return list(dict.fromkeys(part for part in parts if part))
