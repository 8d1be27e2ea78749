"""The real program: a process, real time and real limits, on which nothing here depends."""

from pathlib import Path

from matatika_simulator import Simulator
from tests.integration.faults.faults import html
from tests.integration.faults.table import API_KEY, PIPELINE
from tests.support import secrecy
from tests.support.peer import Peer, after_effect, answer, reset
from tests.support.stage import check_out
from tests.support.step import Step

LOG = [{"text": "Déployé: un"}, {"at": "0.2s", "text": "deux", "unfinished": True}]


def test_process_whose_calls_fail_once_each_deploys_once_and_runs_its_pipeline_once(tmp_path: Path) -> None:
    scenario = {**PIPELINE, "job": {"runs": "0.5s", "log": LOG}}
    with Simulator(scenario) as simulator, Peer(simulator) as peer:
        nonsense = answer(200, b'{"id": "71')
        peer.on("token", reset, {1})
        peer.on("trigger", after_effect(reset), {1})
        # The first list is that before the trigger, or the run.
        peer.on("jobs", nonsense, {2})
        peer.on("job", html(403), {1})
        peer.on("logs", html(502), {1})
        peer.on("pipelines", html(502), {2})
        peer.on("run", after_effect(nonsense), {1})
        peer.on("runs", html(502), {2})
        addresses = {"api_url": peer.api_url, "auth_url": peer.auth_url}
        step = Step(tmp_path, simulator, **API_KEY, **addresses, run_pipelines="a")
        check_out(step, {"a": ""})
        result = step.run_process({"RUNNER_DEBUG": "1"})
        assert [(job.type, job.status) for job in simulator.jobs] == [
            ("WORKSPACE_DEPLOY", "COMPLETE"),
            ("PIPELINE_RUN", "COMPLETE"),
        ]
        assert (peer.count("trigger"), peer.count("run")) == (1, 1)
        assert all(peer.count(call) > 1 for call in ("token", "jobs", "job", "logs", "pipelines", "runs"))
        secrecy.check(result, [API_KEY["client-secret"]], peer.bearers())
    assert (result.code, result.outputs["outcome"]) == (0, "success")
    assert result.log.job_log.startswith("Déployé: un\ndeux\n".encode())
    assert result.log.said("error") == []
