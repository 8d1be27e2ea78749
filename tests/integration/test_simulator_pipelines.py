"""The simulated platform has pipelines, which deployments create, change and delete, and which can be run."""

from typing import Any

import pytest

from tests.support.api_client import JOBS, OTHER_ID, PIPELINES, UNKNOWN, ApiClient, simulated

FIELDS = {
    *("id", "created", "lastModified", "name", "label", "status", "schedule", "timeout", "maxRetries", "script"),
    *("dataComponents", "actions", "triggeredBy", "repositoryPath", "properties", "_links"),
}


def listed(api: ApiClient, query: str = "") -> dict[str, Any]:
    page = api.get(PIPELINES + query)
    return {pipeline["name"]: pipeline for pipeline in page.get("_embedded", {"pipelines": []})["pipelines"]}


def run(api: ApiClient, name: str) -> Any:
    return api.call("POST", listed(api)[name]["_links"]["new job"]["href"])


def test_are_listed_with_all_their_fields() -> None:
    properties = {"tap.password": "s3cret"}
    pipeline = {"name": "a", "fields": {"label": "A", "timeout": 9, "properties": properties, "script": 7}}
    with simulated(pipelines=[pipeline, {"name": "b"}], other_workspaces=[{"id": OTHER_ID}]) as api:
        pipelines = listed(api)
        assert set(pipelines["a"]) == FIELDS
        assert (pipelines["a"]["label"], pipelines["a"]["timeout"], pipelines["a"]["script"]) == ("A", 9, 7)
        assert (pipelines["a"]["properties"], pipelines["b"]["properties"]) == (properties, {})
        assert pipelines["b"]["repositoryPath"] == "pipelines/b.yml"
        assert list(listed(api, "?size=1&page=1&sort=name")) == ["b"]
        assert api.get(f"/workspaces/{OTHER_ID}/pipelines")["page"]["totalElements"] == 0


def test_a_run_is_a_job_of_the_pipeline() -> None:
    plan = {"queued": 1, "runs": 2, "ends": "ERROR", "log": [{"text": "no"}]}
    with simulated(pipelines=[{"name": "a", "fields": {"properties": {"x": "s3cret"}}, "job": plan}]) as api:
        answer = run(api, "a")
        job = answer.json()
        assert (answer.status_code, job["type"], job["status"]) == (201, "PIPELINE_RUN", "QUEUED")
        assert job["_embedded"]["pipeline"] == {
            "id": listed(api)["a"]["id"],
            "name": "a",
            "status": "READY",
            "triggeredBy": [],
            "repositoryPath": "pipelines/a.yml",
            "properties": {"x": "s3cret"},
        }
        assert api.get(listed(api)["a"]["_links"]["jobs"]["href"])["_embedded"]["jobs"] == [job]
        assert api.get(JOBS)["_embedded"]["jobs"] == [job]
        api.clock.now += 3
        assert api.get(job["_links"]["self"]["href"])["exitCode"] == 1
        assert api.call("GET", job["_links"]["logs"]["href"]).text == "no\n"
        assert [(state.pipeline, state.status) for state in api.jobs] == [("a", "ERROR")]


def test_a_run_can_be_withdrawn() -> None:
    with simulated(pipelines=[{"name": "a", "job": {"runs": "forever"}}]) as api:
        assert api.call("PUT", run(api, "a").json()["_links"]["withdraw job"]["href"]).ok
        assert [state.status for state in api.jobs] == ["STOPPED"]
        assert run(api, "a").status_code == 201


@pytest.mark.parametrize("status", [400, 409])
def test_a_run_is_refused_while_another_runs_or_the_pipeline_is_not_ready(status: int) -> None:
    pipelines = [{"name": "a"}, {"name": "b", "status": "FAILED"}]
    other = {"type": "PIPELINE_RUN", "pipeline": "a", "runs": 5}
    with simulated(pipelines=pipelines, other_jobs=[other], pipeline_runs={"refused-with": status}) as api:
        refusals = [run(api, "a"), run(api, "b")]
        assert [answer.status_code for answer in refusals] == [status, status]
        said = [answer.json()["message"] for answer in refusals]
        assert said == ["Pipeline is already running", "Pipeline is FAILED"]
        api.clock.now += 5
        assert run(api, "a").status_code == 201


def test_an_unknown_pipeline_has_no_jobs() -> None:
    with simulated() as api:
        for method in ("GET", "POST"):
            assert api.call(method, f"/pipelines/{UNKNOWN}/jobs").status_code == 404


@pytest.mark.parametrize(("ends", "status"), [("COMPLETE", "READY"), ("ERROR", "FAILED")])
def test_a_pipeline_that_was_changed_is_provisioning_until_its_configuration_has_ended(ends: str, status: str) -> None:
    configuration = {"runs": 2, "ends": ends}
    change = {"name": "a", "on-deploy": "change", "changes": {"timeout": 9}, "configuration": configuration}
    with simulated(pipelines=[change], job={"runs": 1}) as api:
        api.trigger()
        seen = []
        for _ in range(4):
            pipeline = listed(api)["a"]
            seen.append((pipeline["timeout"], pipeline["status"], len(api.jobs)))
            api.clock.now += 1
        assert seen == [(0, "READY", 1), (9, "PROVISIONING", 2), (9, "PROVISIONING", 2), (9, status, 2)]
        assert [job.type for job in api.jobs] == ["WORKSPACE_DEPLOY", "PIPELINE_CONFIG"]
        api.trigger()
        api.clock.now += 1
        assert [job.type for job in api.jobs].count("PIPELINE_CONFIG") == 1


@pytest.mark.parametrize("ends", ["COMPLETE", "ERROR", "withdrawn"])
def test_only_a_deployment_that_succeeds_has_consequences(ends: str) -> None:
    pipelines = [{"name": "new", "on-deploy": "create"}, {"name": "old", "on-deploy": "delete"}]
    after = {"name": "after", "triggered-by": ["Deploy"]}
    plan = {"runs": 1} if ends == "withdrawn" else {"runs": 1, "ends": ends}
    with simulated(pipelines=[*pipelines, after], job=plan) as api:
        assert list(listed(api)) == ["old", "after"]
        job = api.trigger()
        if ends == "withdrawn":
            api.call("PUT", job["_links"]["withdraw job"]["href"])
        api.clock.now += 1
        succeeded = ends == "COMPLETE"
        assert list(listed(api)) == (["new", "after"] if succeeded else ["old", "after"])
        consequences = [(state.type, state.pipeline) for state in api.jobs[1:]]
        assert consequences == ([("PIPELINE_CONFIG", "new"), ("PIPELINE_RUN", "after")] if succeeded else [])


@pytest.mark.parametrize(("name", "second"), [("pipelines", "COMPLETE"), ("pipelines-failure", "ERROR")])
def test_the_named_scenarios_have_a_plan_of_three_signs_and_two_runs(name: str, second: str) -> None:
    with simulated(name) as api:
        before = listed(api)
        api.trigger()
        api.clock.now += 5
        after = listed(api)
        assert (before.keys() - after.keys(), after.keys() - before.keys()) == (
            {"extract-returns"},
            {"publish-reports"},
        )
        assert before["extract-orders"]["schedule"] != after["extract-orders"]["schedule"]
        assert {pipeline["status"] for pipeline in after.values()} == {"READY"}
        for pipeline in ("extract-orders", "publish-reports"):
            assert run(api, pipeline).status_code == 201
            api.clock.now += 3
        assert [state.status for state in api.jobs if state.type == "PIPELINE_RUN"] == ["COMPLETE", second]
