"""The workspace's pipelines: which there are, which of them the user means, and when one can be run."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matatika_deploy.errors import PipelineFailed, PlatformError
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
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import InvalidResponse, Request, Response
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


class TestParse:
    def test_fields_are_read_without_properties(self) -> None:
        found = parsed(label="A", status="ready", repositoryPath="x.yml", timeout=7, properties={"password": "x"})
        assert found[:6] == ("id-1", "a", "A", "READY", "x.yml", False)
        assert found.fields["timeout"] == 7
        assert "properties" not in found.fields

    @pytest.mark.parametrize("value", [None, 7, [], {}])
    def test_other_types_count_as_missing(self, value: Any) -> None:
        names = ("id", "name", "label", "status", "repositoryPath", "triggeredBy")
        assert parsed(**dict.fromkeys(names, value))[:6] == ("", "", "", "", "", False)

    @pytest.mark.parametrize("value", [None, "a", []])
    def test_entry_that_is_no_object_makes_the_answer_invalid(self, value: Any) -> None:
        with pytest.raises(InvalidResponse):
            parse_pipeline(value, Redactor())

    @pytest.mark.parametrize("pipeline_id", ["", "../x", "x" * 200, f"x-{SECRET}", 7])
    def test_id_that_cannot_be_a_part_of_an_address_is_not_used(self, pipeline_id: Any) -> None:
        unusable = parsed(id=pipeline_id)
        assert unusable.id == ""
        with pytest.raises(PlatformError, match="no usable id"):
            run_target(client_that_gets({})[0], unusable)

    @pytest.mark.parametrize(
        ("triggers", "expected"),
        [(["a", "DEPLOY"], True), ([" Deploy "], True), (["deployment"], False), ("deploy", False), ([7], False)],
    )
    def test_trigger_by_deployments_is_known_in_any_case(self, triggers: Any, expected: bool) -> None:
        assert parsed(triggeredBy=triggers).runs_after_deployments is expected

    def test_text_holds_no_credential_and_nothing_hidden(self) -> None:
        found = parsed(name=f"x-{SECRET}", label="a\u202eb\n", repositoryPath=SECRET.upper())
        assert (found.name, found.label, found.repository_path) == ("x-***", "ab", "***")


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


def test_list_without_end_is_an_error() -> None:
    client, _ = client_that_gets(*(page(f"p{number}", number=number, totalPages=1000) for number in range(60)))
    with pytest.raises(PlatformError, match="more than 50 pages"):
        list_pipelines(client, "/workspaces/w")


KNOWN = [pipeline("orders", "Orders"), pipeline("both", "Load, check"), pipeline("old", "Renamed"), pipeline("my-own")]
UNKNOWN = "`run-pipelines` names '{}', but no pipeline of the workspace is called that"
CREATED = [("New One", "pipelines/New One.yml", "Label"), ("m", "pipelines/m.yml")]


class TestFind:
    def found(self, entries: str, known: list[Pipeline] = KNOWN, created: Any = (), deleted: Any = ()) -> list[str]:
        named, problems = find(entries, known, created, deleted, "teams/a")
        return problems or [one.title for one in named]

    @pytest.mark.parametrize(
        ("entries", "expected"),
        [
            (" , \n,", []),
            ("Load, check", ["both"]),
            ("Load, check\norders", ["both", "orders"]),
            ("\n both ,\n\n, orders,\n", ["both", "orders"]),
            ("Load, check, orders", [UNKNOWN.format("Load"), UNKNOWN.format("check")]),
            ("My Own", ["my-own"]),
            ("my_own", ["my-own"]),
            ("!!!", [UNKNOWN.format("!!!")]),
            ("orders,Orders,./pipelines/orders.yml", ["orders"]),
        ],
    )
    def test_names_mean_pipelines(self, entries: str, expected: list[str]) -> None:
        assert self.found(entries) == expected

    def test_exact_name_comes_before_a_slug(self) -> None:
        known = [pipeline("my-own"), pipeline("my--own")]
        assert self.found("my--own", known) == ["my--own"]
        assert "2 pipelines" in self.found("My Own", known)[0]

    def test_name_of_one_and_label_of_another_could_be_two(self) -> None:
        known = [pipeline("a"), pipeline("b", "a")]
        assert self.found("a", known) == ["`run-pipelines` names 'a', which 2 pipelines are called"]

    @pytest.mark.parametrize("text", ["New One", "new-one", "pipelines/New One.yml", "Label"])
    def test_created_pipeline_is_known_by_every_name_of_its_file_and_run_once(self, text: str) -> None:
        assert self.found(f"{text}, m, New One", created=CREATED) == [text, "m"]

    def test_deleted_pipeline_is_a_problem_of_its_own_unless_its_label_moves_to_another_file(self) -> None:
        (problem,) = self.found("old", deleted=["old"])
        assert problem == "`run-pipelines` names 'old', which this deployment deletes, since its file is gone"
        moved = [("new", "pipelines/new.yml", "Renamed")]
        assert self.found("Renamed", created=moved, deleted=["old"]) == ["Renamed"]

    @pytest.mark.parametrize("listed", ["pipelines/x.yml", "teams/a/pipelines/x.yml"])
    @pytest.mark.parametrize("text", ["pipelines/x.yml", "teams/a/pipelines/x.yml"])
    def test_paths_count_from_either_root(self, listed: str, text: str) -> None:
        assert self.found(text, [pipeline("p", path=listed)]) == ["p"]


class TestAwaitReady:
    """A pipeline is run when it is listed and ready."""

    NEW = Named("a", ("a",), None)

    def awaited(self, named: Named, *states: list[Pipeline]) -> tuple[Pipeline, list[str]]:
        waited: list[str] = []
        lists = iter(states)
        return await_ready(named, lambda: next(lists), waited.append), waited

    def test_provisioning_and_unlisted_pipelines_are_waited_for(self) -> None:
        busy, ready = pipeline("a", status="provisioning"), pipeline("a")
        assert self.awaited(self.NEW, [], [busy], [busy], [ready]) == (
            ready,
            ["pipeline 'a' is not listed yet", *["pipeline 'a' is PROVISIONING"] * 2],
        )

    @pytest.mark.parametrize("status", ["FAILED", "DRAFT", "failed"])
    def test_failed_pipeline_or_draft_is_not_run(self, status: str) -> None:
        with pytest.raises(PipelineFailed, match=f"'a' cannot be run: it is {status.upper()}"):
            self.awaited(self.NEW, [pipeline("a", status=status)])

    @pytest.mark.parametrize("status", ["READY", "", "SOMETHING NEW"])
    def test_any_other_status_is_tried_at_once(self, status: str) -> None:
        a = pipeline("a", status=status)
        assert self.awaited(self.NEW, [a]) == (a, [])

    def test_listed_pipeline_is_known_by_its_id_and_one_that_replaced_it_by_its_name(self) -> None:
        before, other = pipeline("a", "Label"), pipeline("b", "a")
        renamed = before._replace(name="z", repository_path="pipelines/z.yml")
        assert self.awaited(Named("a", before.names, before), [other, renamed])[0] == renamed
        replaced = before._replace(id="another")
        assert self.awaited(Named("Label", before.names, before), [replaced])[0] == replaced

    def test_created_pipeline_is_known_by_the_slug_of_its_file(self) -> None:
        after = pipeline("new-one", path="elsewhere.yml")
        assert self.awaited(Named("Label", CREATED[0], None), [after])[0] == after

    def test_of_two_none_is_run(self) -> None:
        with pytest.raises(PipelineFailed, match="2 pipelines are called that"):
            self.awaited(self.NEW, [pipeline("a"), pipeline("b", "a")])
