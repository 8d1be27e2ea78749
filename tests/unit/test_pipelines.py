"""The workspace's pipelines: which there are, which of them the user means, and when one can be run."""

import json
import time
from collections.abc import Sequence
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matatika_deploy.errors import PipelineFailed, PlatformError
from matatika_deploy.platform import reading
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.pages import parse_page
from matatika_deploy.platform.pipelines import (
    Named,
    Pipeline,
    await_ready,
    find,
    list_pipelines,
    parse_pipeline,
    run_target,
)
from matatika_deploy.platform.reading import Reading
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import InvalidResponse, Request, Response
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock
from tests.support import platform
from tests.support.clock import FakeClock

SECRET = "s3cret-t0ken-of-the-step"


def parsed(**fields: Any) -> Pipeline:
    return parse_pipeline({"id": "id-1", "name": "a", **fields}, Redactor([SECRET]))


def pipeline(name: str, label: str = "", path: str | None = None, status: str = "READY") -> Pipeline:
    path = f"pipelines/{name}.yml" if path is None else path
    return parsed(id=f"id-of-{name}", name=name, label=label, repositoryPath=path, status=status)


def client_that_gets(*pages: dict[str, Any]) -> tuple[Client, list[str]]:
    """A client that gets these pages, the last one again and again; and the numbers of those that it asks for."""
    clock, asked = FakeClock(), list[str]()

    def respond(request: Request) -> Response:
        asked.append(parse_qs(urlsplit(request.url).query)["page"][0])
        return platform.respond(clock, 200, json.dumps(pages[min(int(asked[-1]), len(pages) - 1)]).encode())

    return platform.make_client(clock, respond), asked


def test_fields_are_read_without_properties_credentials_and_hidden_text() -> None:
    found = parsed(label="A", status="ready", repositoryPath="x.yml", timeout=7, properties={"password": "x"})
    assert found[:6] == ("id-1", "a", "A", "READY", "x.yml", False)
    assert found.fields["timeout"] == 7
    assert "properties" not in found.fields
    secret = parsed(name=f"x-{SECRET}", label="a\u202eb\n", repositoryPath=SECRET.upper())
    assert secret.names == ("x-***", "ab", "***")


@pytest.mark.parametrize("value", [None, 7, [], {}])
def test_fields_of_other_types_count_as_missing(value: Any) -> None:
    names = ("id", "name", "label", "status", "repositoryPath", "triggeredBy")
    assert parsed(**dict.fromkeys(names, value))[:6] == ("", "", "", "", "", False)


@pytest.mark.parametrize("pipeline_id", ["", "../x", "x" * 200, f"x-{SECRET}", 7])
def test_id_that_cannot_be_a_part_of_an_address_is_not_used(pipeline_id: Any) -> None:
    unusable = parsed(id=pipeline_id)
    assert unusable.id == ""
    with pytest.raises(PlatformError, match="no usable id"):
        run_target(client_that_gets({})[0], unusable)


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [(["a", "DEPLOY"], True), ([" Deploy "], True), (["deployment"], False), ("deploy", False), ([7], False)],
)
def test_trigger_by_deployments_is_known_in_any_case(triggers: Any, expected: bool) -> None:
    assert parsed(triggeredBy=triggers).runs_after_deployments is expected


def page(*names: str, **numbers: int) -> dict[str, Any]:
    entries = [{"id": f"id-{name}", "name": name} for name in names]
    return {"_embedded": {"pipelines": entries}, **({"page": numbers} if numbers else {})}


@pytest.mark.parametrize(
    ("pages", "names", "asked"),
    [
        ([page("a", "b", number=0, totalPages=2), page("c", number=1, totalPages=2)], ["a", "b", "c"], ["0", "1"]),
        ([page(number=0, totalPages=0)], [], ["0"]),
        ([page("a")], ["a"], ["0"]),
        # Paging that is ignored.
        ([page("a", "b", number=0, totalPages=7)], ["a", "b"], ["0", "1"]),
    ],
)
def test_every_page_is_read_once(pages: Sequence[dict[str, Any]], names: list[str], asked: list[str]) -> None:
    client, numbers = client_that_gets(*pages)
    assert [found.name for found in list_pipelines(client, "/workspaces/w")] == names
    assert numbers == asked


@pytest.mark.parametrize("body", [[], {}, {"_embedded": [1]}, {"_embedded": {"pipelines": {}}}])
def test_answer_that_is_no_page_is_told_apart(body: object) -> None:
    answered = platform.respond(FakeClock(), 200, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with pytest.raises(InvalidResponse):
        parse_page(answered, "pipelines")
    with pytest.raises(InvalidResponse):
        parse_pipeline([body], Redactor())


def test_time_for_a_list_grows_with_its_length_alone() -> None:
    pages = [page(*(f"{n}-{count}" for count in range(10_000)), number=n, totalPages=2) for n in range(2)]
    begin = time.process_time()
    listed = list_pipelines(client_that_gets(*pages)[0], "/workspaces/w")
    assert find("0-1", listed, [], [one.name for one in listed])[1] == [GONE.replace("old", "0-1")]
    assert (len(listed), time.process_time() - begin < 5) == (20_000, True)


def test_list_that_is_still_being_read_when_its_time_is_over_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_GRACE", 0.0)
    may_end = Event()
    client = platform.make_client(FakeClock(), scope=CancelScope(SystemClock()))
    listing = Reading(client, "list the pipelines", lambda _: may_end.wait(10), 0.01)
    with pytest.raises(PlatformError, match="Could not list the pipelines within 0 s"):
        listing.result()
    may_end.set()


def test_list_without_end_is_an_error() -> None:
    client, _ = client_that_gets(*(page(f"p{number}", number=number, totalPages=1000) for number in range(60)))
    with pytest.raises(PlatformError, match="more than 50 pages"):
        list_pipelines(client, "/workspaces/w")


KNOWN = [pipeline("orders", "Orders"), pipeline("both", "Load, check"), pipeline("old", "Renamed"), pipeline("my-own")]
ALIKE = [pipeline("my-own"), pipeline("my--own"), pipeline("a"), pipeline("b", "a")]
UNKNOWN = "`run-pipelines` names '{}', but no pipeline of the workspace is called that"
TWO = "`run-pipelines` names '{}', which 2 pipelines are called"
GONE = "`run-pipelines` names 'old', which this deployment deletes, since its file is gone"
CREATED = [("New One", "pipelines/New One.yml", "Label"), ("m", "pipelines/m.yml")]
MOVED = [("new", "pipelines/new.yml", "Renamed")]
PATHS = ("pipelines/x.yml", "teams/a/pipelines/x.yml")


@pytest.mark.parametrize(
    ("entries", "known", "created", "deleted", "expected"),
    [
        (" , \n,", KNOWN, [], [], []),
        ("Load, check", KNOWN, [], [], ["both"]),
        ("\nLoad, check\n\n, orders,\nboth", KNOWN, [], [], ["both", "orders"]),
        ("Load, check, orders", KNOWN, [], [], [UNKNOWN.format("Load"), UNKNOWN.format("check")]),
        ("My Own", KNOWN, [], [], ["my-own"]),
        ("my_own", KNOWN, [], [], ["my-own"]),
        ("Cafe\u0301", [pipeline("caf\u00e9")], [], [], ["caf\u00e9"]),
        ("!!!", KNOWN, [], [], [UNKNOWN.format("!!!")]),
        ("orders,Orders,./pipelines/orders.yml", KNOWN, [], [], ["orders"]),
        # An exact name comes before a slug; the label of one can be the name of another.
        ("my--own", ALIKE, [], [], ["my--own"]),
        ("My Own", ALIKE, [], [], [TWO.format("My Own")]),
        ("a", ALIKE, [], [], [TWO.format("a")]),
        # A new pipeline has every name of its file, and a label can move from a deleted one to another.
        *((f"{it}, m, New One", KNOWN, CREATED, [], [it, "m"]) for it in ("New One", "new-one", *CREATED[0][1:])),
        ("old", KNOWN, [], ["old"], [GONE]),
        ("Renamed", KNOWN, MOVED, ["old"], ["Renamed"]),
        *((text, [pipeline("p", path=listed)], [], [], ["p"]) for text in PATHS for listed in PATHS),
    ],
)
def test_names_mean_pipelines_or_are_problems(
    entries: str, known: list[Pipeline], created: Any, deleted: list[str], expected: list[str]
) -> None:
    named, problems = find(entries, known, created, deleted, "teams/a")
    assert (problems or [one.title for one in named]) == expected


OLD = pipeline("a", "Label")
NAMED = Named("Label", OLD.names, OLD)


def awaited(named: Named, *states: list[Pipeline]) -> tuple[Pipeline, list[str]]:
    """The pipeline that is run, and what was waited for before."""
    waited: list[str] = []
    return await_ready(named, iter(states).__next__, waited.append), waited


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([pipeline("a", status="FAILED")], "be run: it is FAILED"),
        ([pipeline("a", status="draft")], "be run: it is DRAFT"),
        ([pipeline("a"), pipeline("b", "a")], "2 pipelines are called that"),
    ],
)
def test_failed_pipeline_or_draft_or_one_of_two_is_not_run(listed: list[Pipeline], why: str) -> None:
    with pytest.raises(PipelineFailed, match=why):
        awaited(Named("a", ("a",), None), listed)


@pytest.mark.parametrize(
    ("named", "run"),
    [
        *((NAMED, OLD._replace(status=status)) for status in ("READY", "", "SOMETHING NEW")),
        # One that was listed is known by its id, one that replaced it by its name, a new one by its file.
        (NAMED, OLD._replace(name="z", label="", repository_path="pipelines/z.yml")),
        (NAMED, OLD._replace(id="another")),
        (Named("Label", CREATED[0], None), pipeline("new-one", path="elsewhere.yml")),
    ],
)
def test_pipeline_is_run_at_once_under_whatever_name_it_is_listed_now(named: Named, run: Pipeline) -> None:
    assert awaited(named, [pipeline("b", "another"), run]) == (run, [])
