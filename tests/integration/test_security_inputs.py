"""Inputs that cannot be used end the step with exit code 2 and one error; no request is made, no secret shows."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from matatika_deploy.main import main
from matatika_deploy.runtime.limits import Limits, RetryPolicy
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator, constants
from tests.support import runner
from tests.support.network import UninvitedServer
from tests.support.secrecy import forms
from tests.support.step import Step

ID, KEY = constants.CLIENT_ID, constants.CLIENT_SECRET
HIDDEN = "a-password-in-the-address"

# Inputs, beside a workspace and a token that are good, and the names that the error has to have; `{evil}` is the
# address of a server that is to hear nothing.
BAD: list[tuple[Mapping[str, str], set[str]]] = [
    ({"workspace_id": ""}, {"workspace-id"}),
    ({"workspace_id": " \t\n "}, {"workspace-id"}),
    ({"workspace_id": "my-workspace"}, {"workspace-id"}),
    ({"workspace_id": "../../jobs"}, {"workspace-id"}),
    ({"workspace_id": f"{constants.WORKSPACE_ID}/../../{constants.WORKSPACE_ID}"}, {"workspace-id"}),
    ({"workspace_id": constants.WORKSPACE_ID[:20] + "\n" + constants.WORKSPACE_ID[20:]}, {"workspace-id"}),
    ({"workspace_id": f"{constants.WORKSPACE_ID}\n::error::x"}, {"workspace-id"}),
    ({"workspace_id": f"{constants.WORKSPACE_ID}?x"}, {"workspace-id"}),
    ({"workspace_id": "\u0660" * 8 + "-51a1-4000-8000-000000000001"}, {"workspace-id"}),
    ({"token": ""}, {"token", "client-id", "client-secret", "deployment-secret"}),
    ({"token": " \n"}, {"token", "client-id", "client-secret", "deployment-secret"}),
    ({"token": "two words"}, {"token"}),
    ({"token": "two\nlines"}, {"token"}),
    ({"token": "a-token\r\nX-Injected: header"}, {"token"}),
    ({"token": "tökén-of-letters"}, {"token"}),
    ({"token": "nul-\x7f-token"}, {"token"}),
    ({"token": "", "client_id": ID}, {"client-secret"}),
    ({"token": "", "client_secret": KEY}, {"client-id"}),
    ({"client_id": ID, "client_secret": KEY}, {"token", "client-id", "client-secret"}),
    ({"client_id": ID}, {"token", "client-id", "client-secret"}),
    ({"token": "", "client_id": ID, "client_secret": "two words"}, {"client-secret"}),
    ({"token": "", "deployment_secret": "two\nlines"}, {"deployment-secret"}),
    ({"api_url": "http://app.matatika.com/api"}, {"api-url"}),
    ({"api_url": "http://127.0.0.1.evil.example/api"}, {"api-url"}),
    ({"api_url": "http://localhost.evil.example/api"}, {"api-url"}),
    ({"api_url": "http://127.0.0.1@evil.example/api"}, {"api-url"}),
    ({"api_url": f"http://someone:{HIDDEN}@{{evil}}/api"}, {"api-url"}),
    ({"api_url": f"http://{HIDDEN}@{{evil}}/api"}, {"api-url"}),
    ({"api_url": f"http://{{evil}}/api?key={HIDDEN}"}, {"api-url"}),
    ({"api_url": f"http://{{evil}}/api#{HIDDEN}"}, {"api-url"}),
    ({"api_url": "http://{evil}/api?"}, {"api-url"}),
    ({"api_url": "http://{evil}\\@app.matatika.com/api"}, {"api-url"}),
    ({"api_url": "http://{evil}/a\npi"}, {"api-url"}),
    ({"api_url": "ht\ttp://{evil}/api"}, {"api-url"}),
    ({"api_url": "//{evil}/api"}, {"api-url"}),
    ({"api_url": "ftp://{evil}/api"}, {"api-url"}),
    ({"api_url": "javascript:alert(1)"}, {"api-url"}),
    ({"api_url": "file:///etc/passwd"}, {"api-url"}),
    ({"api_url": "app.matatika.com/api"}, {"api-url"}),
    ({"api_url": "https://"}, {"api-url"}),
    ({"api_url": "https://[::1"}, {"api-url"}),
    ({"api_url": "https://app.matatika.com:99999/api"}, {"api-url"}),
    ({"auth_url": "http://identity.matatika.com/oauth/token"}, {"auth-url"}),
    ({"auth_url": f"http://someone:{HIDDEN}@{{evil}}/"}, {"auth-url"}),
    ({"auth_url": f"http://{{evil}}/?{HIDDEN}"}, {"auth-url"}),
    ({"audience": "two\nlines"}, {"audience"}),
    ({"wait": "maybe"}, {"wait"}),
    ({"wait": "2"}, {"wait"}),
    ({"timeout": "0"}, {"timeout"}),
    ({"timeout": "-5m"}, {"timeout"}),
    ({"timeout": "24h1s"}, {"timeout"}),
    ({"timeout": "soon"}, {"timeout"}),
    ({"timeout": "1.5h"}, {"timeout"}),
    ({"timeout": "9" * 5000}, {"timeout"}),
    ({"timeout": "\u0663m"}, {"timeout"}),
    ({"poll_interval": "999ms"}, {"poll-interval"}),
    ({"poll_interval": "0"}, {"poll-interval"}),
    ({"poll_interval": "6m"}, {"poll-interval"}),
    ({"logs": "verbose"}, {"logs"}),
    ({"on_timeout": "kill"}, {"on-timeout"}),
    ({"on_cancel": "true"}, {"on-cancel"}),
    ({"preflight": "strict"}, {"preflight"}),
    ({"verify_source": "::error::x"}, {"verify-source"}),
    ({"workspace_directory": "../elsewhere"}, {"workspace-directory"}),
    ({"workspace_directory": "/etc"}, {"workspace-directory"}),
    ({"workspace_directory": "a/../../b"}, {"workspace-directory"}),
    ({"workspace_directory": "a\nb"}, {"workspace-directory"}),
    ({"dry_run": "perhaps"}, {"dry-run"}),
    ({"ca_bundle": "certificates/not-there.pem"}, {"ca-bundle"}),
    ({"ca_bundle": "."}, {"ca-bundle"}),
    ({"ca_bundle": "control-\x01"}, {"ca-bundle"}),
    ({"ca_bundle": "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"}, {"ca-bundle"}),
    ({"ca_bundle": "x" * 5000}, {"ca-bundle"}),
    ({"ca_bundle": "/etc/ssl/certs/ca-certificates.crt"}, {"ca-bundle"}),
    ({"ca_bundle": "../../../etc/ssl/certs/ca-certificates.crt"}, {"ca-bundle"}),
    ({"token": "Bearer a-token-of-mine"}, {"token"}),
    ({"token": '"a-token-of-mine"'}, {"token"}),
    ({"token": "secrets.A_TOKEN"}, {"token"}),
    ({"token": "", "deployment_secret": "$DEPLOYMENT_SECRET"}, {"deployment-secret"}),
    (
        {
            "workspace_id": "../x",
            "token": "two words",
            "client_secret": KEY,
            "api_url": f"http://{HIDDEN}@{{evil}}/",
            "auth_url": "nowhere",
            "audience": "a\nb",
            "wait": "?",
            "timeout": "0",
            "poll_interval": "1d",
            "logs": "?",
            "on_timeout": "?",
            "on_cancel": "?",
            "preflight": "?",
            "verify_source": "?",
            "workspace_directory": "..",
            "dry_run": "?",
            "ca_bundle": "?",
        },
        {
            *("workspace-id", "token", "client-id", "api-url", "auth-url", "audience", "wait", "timeout"),
            *("poll-interval", "logs", "on-timeout", "on-cancel", "preflight", "verify-source"),
            *("workspace-directory", "dry-run", "ca-bundle"),
        },
    ),
]
# For a step that wrongly goes on, so that the test fails soon.
IN_A_HURRY = Limits(retry=RetryPolicy(outage=1.0))
SECRETS = {"token", "client_secret", "deployment_secret"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator({"job": {"runs": "0s"}}) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def uninvited() -> Iterator[UninvitedServer]:
    with UninvitedServer() as uninvited:
        yield uninvited


@pytest.mark.parametrize(("inputs", "names"), BAD, ids=lambda value: "-".join(sorted(value))[:60])
def test_step_ends_at_once_with_one_error_that_names_them_all(
    tmp_path: Path, simulator: Simulator, uninvited: UninvitedServer, inputs: Mapping[str, str], names: set[str]
) -> None:
    given = {name: value.replace("{evil}", f"127.0.0.1:{uninvited.port}") for name, value in inputs.items()}
    step = Step(tmp_path / "step", simulator, **given)
    path = tmp_path / "printed"
    with path.open("wb") as output:
        code = main(step.environ, Signals(), time.monotonic(), limits=IN_A_HURRY, descriptor=output.fileno())
    assert code == 2
    assert step.files.outputs.keys() == {"outcome", "message"}
    assert step.files.outputs["outcome"] == "error"
    assert step.files.state == {}
    assert simulator.journal == []
    assert uninvited.heard == []

    reading = runner.read(path.read_bytes())
    (error,) = reading.of("error")
    assert error.properties == {"title": "Bad input"}
    assert {name for name in names if f"`{name}`" in error.data} == names
    others = {name.replace("_", "-") for name in BAD[-1][0]} - names
    assert not [name for name in others if f"`{name}` must" in error.data]
    assert "Bad input" in step.files.summary
    assert_hidden(given, reading, step.files.summary)


def assert_hidden(given: Mapping[str, str], reading: runner.Reading, summary: str) -> None:
    """No secret shows, and none is more than masked; a password in an address is one too, but cannot be masked."""
    masks = {command.data for command in reading.of("add-mask")}
    said = "\n".join([*reading.shown, *(command.data for command in reading.commands if command.name != "add-mask")])
    secrets = [line for name in SECRETS for line in given.get(name, "").strip().splitlines() if len(line) > 3]
    assert masks == {*secrets, *([constants.TOKEN] if "token" not in given else [])}
    for secret in [*secrets, HIDDEN]:
        assert not [form for form in forms(secret) if form in (said + summary).encode()], secret


def test_process_names_every_bad_input(tmp_path: Path, simulator: Simulator) -> None:
    step = Step(tmp_path / "step", simulator, token="two words", timeout="soon", workspace_id="../x")
    result = step.run()
    assert (result.code, result.outputs["outcome"], result.state) == (2, "error", {})
    assert result.outputs.keys() == {"outcome", "message"}
    assert simulator.journal == []
    (error,) = result.log.said("error")
    assert all(f"`{name}`" in error for name in ("token", "timeout", "workspace-id"))
    assert b"Traceback" not in result.printed
    assert result.printed.count(b"two words") == 1


@pytest.mark.parametrize("are_absent", [False, True])
def test_step_without_any_input_is_bad_input(tmp_path: Path, are_absent: bool) -> None:
    """Empty, as the runner hands them on, or not there at all."""
    step = Step(tmp_path / "step")
    for name in [name for name in step.environ if name.startswith("INPUT_") and are_absent]:
        del step.environ[name]
    result = step.run()
    assert result.code == 2
    (error,) = result.log.said("error")
    assert "`workspace-id`" in error
    assert "credential" in error
