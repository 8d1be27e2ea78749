"""The workspace's pipelines: which there are, which of them the user means, and when one can be run."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matatika_deploy.errors import PipelineFailed, PlatformError
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
from matatika_deploy.runtime.cancellation import CancelScope
from tests.support import platform
from tests.support.clock import FakeClock

SECRET = "s3cret-t0ken-of-the-step"


def parsed(**fields: Any) -> Pipeline:
    return parse_pipeline({"id": "id-1", "name": "a", **fields}, Redactor([SECRET]))


def pipeline(name: str, label: str = "", path: str | None = None, status: str = "READY") -> Pipeline:
    path = f"pipelines/{name}.yml" if path is None else path
    return parsed(id=f"id-of-{name}", name=name, label=label, repositoryPath=path, status=status)


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

    @pytest.mark.parametrize("pipeline_id", ["", "../x", "a b", "x" * 200, f"x-{SECRET}", 7])
    def test_id_that_cannot_be_a_part_of_an_address_is_not_used(self, pipeline_id: Any) -> None:
        assert parsed(id=pipeline_id).id == ""

    @pytest.mark.parametrize("triggers", [["deploy"], ["a", "DEPLOY"], [" Deploy "]])
    def test_trigger_by_deployments_is_known_in_any_case(self, triggers: list[str]) -> None:
        assert parsed(triggeredBy=triggers).runs_after_deployments

    @pytest.mark.parametrize("triggers", [[], ["deployment"], "deploy", [7], None])
    def test_other_triggers_are_none(self, triggers: Any) -> None:
        assert not parsed(triggeredBy=triggers).runs_after_deployments

    def test_text_holds_no_credential_and_nothing_hidden(self) -> None:
        found = parsed(name=f"x-{SECRET}", label="a\u202eb\n", repositoryPath=SECRET.upper())
        assert (found.name, found.label, found.repository_path) == ("x-***", "ab", "***")


class TestList:
    """Pages, on platforms that honour them or not."""

    def listed(self, pages: list[dict[str, Any]], *, repeats: bool = False) -> tuple[list[str], list[str]]:
        """The names that were found, and the pages that were asked for."""
        clock = FakeClock()
        asked: list[str] = []

        def respond(request: Request) -> Response:
            number = parse_qs(urlsplit(request.url).query)["page"][0]
            asked.append(number)
            body = pages[0 if repeats else int(number)]
            return platform.respond(clock, 200, json.dumps(body).encode())

        client = platform.make_client(platform.make_platform(clock, platform.Reports()), CancelScope(clock), respond)
        return [found.name for found in list_pipelines(client, "/workspaces/w")], asked

    def page(self, *names: str, number: int = 0, total: int = 1) -> dict[str, Any]:
        entries = [{"id": f"id-{name}", "name": name} for name in names]
        return {"_embedded": {"pipelines": entries}, "page": {"number": number, "totalPages": total}}

    def test_every_page_is_read_once(self) -> None:
        pages = [self.page("a", "b", total=2), self.page("c", number=1, total=2)]
        assert self.listed(pages) == (["a", "b", "c"], ["0", "1"])

    def test_empty_list_is_one_page(self) -> None:
        assert self.listed([{"page": {"number": 0, "totalPages": 0}}]) == ([], ["0"])

    def test_page_without_numbers_is_the_only_one(self) -> None:
        assert self.listed([{"_embedded": {"pipelines": [{"name": "a"}]}}]) == (["a"], ["0"])

    def test_paging_that_is_ignored_ends_with_the_first_repetition(self) -> None:
        assert self.listed([self.page("a", "b", total=7)], repeats=True) == (["a", "b"], ["0", "1"])

    def test_list_without_end_is_an_error(self) -> None:
        pages = [self.page(f"p{number}", number=number, total=1000) for number in range(60)]
        with pytest.raises(PlatformError, match="more than 50 pages"):
            self.listed(pages)


KNOWN = [pipeline("orders", "Orders"), pipeline("both", "Load, check"), pipeline("old", "Renamed"), pipeline("my-own")]


class TestFind:
    def found(self, entries: str, created: Any = (), deleted: Any = (), directory: str = "") -> list[str]:
        named, problems = find(entries, KNOWN, created, deleted, directory)
        return problems or [one.title for one in named]

    @pytest.mark.parametrize(
        ("entries", "expected"),
        [
            ("", []),
            (" , \n,", []),
            ("Load, check", ["both"]),
            ("Load, check, orders", ["problem 'Load'", "problem 'check'"]),
            ("My Own", ["my-own"]),
            ("!!!", ["problem '!!!'"]),
            ("my_own", ["my-own"]),
            ("pipelines/my-own.yml", ["my-own"]),
            ("orders,Orders,./pipelines/orders.yml", ["orders"]),
        ],
    )
    def test_names_mean_pipelines(self, entries: str, expected: list[str]) -> None:
        found = self.found(entries)
        assert len(found) == len(expected)
        for text, wanted in zip(found, expected, strict=True):
            assert text == wanted or wanted.removeprefix("problem ") in text

    def test_exact_name_comes_before_a_slug(self) -> None:
        known = [pipeline("my-own"), pipeline("my--own")]
        named, problems = find("my--own", known, (), ())
        assert ([one.title for one in named], problems) == (["my--own"], [])
        assert "2 pipelines" in find("My Own", known, (), ())[1][0]

    def test_name_of_one_and_label_of_another_could_be_two(self) -> None:
        known = [pipeline("a"), pipeline("b", "a")]
        assert find("a", known, (), ())[1] == ["`run-pipelines` names 'a', which 2 pipelines are called"]

    @pytest.mark.parametrize("text", ["New One", "new-one", "pipelines/New One.yml", "Label"])
    def test_created_pipeline_is_known_by_every_name_of_its_file(self, text: str) -> None:
        assert self.found(text, [("New One", "pipelines/New One.yml", "Label")]) == [text]

    def test_created_pipeline_is_run_once(self) -> None:
        created = [("n", "pipelines/n.yml", "Label"), ("m", "pipelines/m.yml")]
        assert self.found("n, Label, m", created) == ["n", "m"]

    def test_deleted_pipeline_is_a_problem_of_its_own(self) -> None:
        (problem,) = self.found("old", deleted=["old"])
        assert problem == "`run-pipelines` names 'old', which this deployment deletes, since its file is gone"

    def test_label_that_moves_to_another_file_means_the_created_pipeline(self) -> None:
        assert self.found("Renamed", [("new", "pipelines/new.yml", "Renamed")], ["old"]) == ["Renamed"]

    @pytest.mark.parametrize("listed", ["pipelines/x.yml", "teams/a/pipelines/x.yml"])
    @pytest.mark.parametrize("text", ["pipelines/x.yml", "teams/a/pipelines/x.yml"])
    def test_paths_count_from_either_root(self, listed: str, text: str) -> None:
        named, problems = find(text, [pipeline("p", path=listed)], (), (), "teams/a")
        assert ([one.title for one in named], problems) == (["p"], [])


class TestAwaitReady:
    """A pipeline is run when it is listed and ready."""

    def awaited(self, named: Named, *states: list[Pipeline]) -> tuple[Pipeline, list[str]]:
        waited: list[str] = []
        lists = iter(states)
        return await_ready(named, lambda: next(lists), waited.append), waited

    def test_ready_pipeline_is_not_waited_for(self) -> None:
        a = pipeline("a")
        assert self.awaited(Named("a", a.names, a), [a]) == (a, [])

    def test_provisioning_and_unlisted_pipelines_are_waited_for(self) -> None:
        busy, ready = pipeline("a", status="provisioning"), pipeline("a")
        found, waited = self.awaited(Named("a", ("a",), None), [], [busy], [busy], [ready])
        assert found == ready
        assert waited == ["pipeline 'a' is not listed yet", *["pipeline 'a' is PROVISIONING"] * 2]

    @pytest.mark.parametrize("status", ["FAILED", "DRAFT", "failed"])
    def test_failed_pipeline_or_draft_is_not_run(self, status: str) -> None:
        with pytest.raises(PipelineFailed, match=f"'a' cannot be run: it is {status.upper()}"):
            self.awaited(Named("a", ("a",), None), [pipeline("a", status=status)])

    @pytest.mark.parametrize("status", ["", "SOMETHING NEW"])
    def test_unknown_status_is_tried(self, status: str) -> None:
        a = pipeline("a", status=status)
        assert self.awaited(Named("a", ("a",), None), [a]) == (a, [])

    def test_listed_pipeline_is_known_by_its_id(self) -> None:
        before, other = pipeline("a"), pipeline("b", "a")
        after = before._replace(name="z", repository_path="pipelines/z.yml")
        assert self.awaited(Named("a", before.names, before), [other, after])[0] == after

    def test_pipeline_that_was_replaced_is_known_by_its_name(self) -> None:
        before = pipeline("a", "Label")
        after = before._replace(id="another")
        assert self.awaited(Named("Label", before.names, before), [after])[0] == after

    def test_created_pipeline_is_known_by_the_slug_of_its_file(self) -> None:
        after = pipeline("new-one", path="elsewhere.yml")
        assert self.awaited(Named("Label", ("New One", "pipelines/New One.yml", "Label"), None), [after])[0] == after

    def test_of_two_none_is_run(self) -> None:
        with pytest.raises(PipelineFailed, match="2 pipelines are called that"):
            self.awaited(Named("a", ("a",), None), [pipeline("a"), pipeline("b", "a")])


def test_pipeline_without_an_id_cannot_be_run() -> None:
    clock = FakeClock()
    client = platform.make_client(
        platform.make_platform(clock, platform.Reports()), CancelScope(clock), lambda _: platform.respond(clock, 200)
    )
    with pytest.raises(PlatformError, match="no usable id"):
        run_target(client, parsed(id=None))
