"""Inputs that cannot be used end the step with exit code 2 and one error; no request is made, no secret shows.

That each bad value of each input is refused is what `test_inputs.py` proves.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from matatika_simulator import constants
from tests.support.secrecy import forms
from tests.support.stage import stage
from tests.support.step import Step

ID, KEY, WORKSPACE = constants.CLIENT_ID, constants.CLIENT_SECRET, constants.WORKSPACE_ID
SECRETS = {"token", "client_secret", "deployment_secret"}
HIDDEN = "a-password-in-the-address"

# Two bad values for each input; `{evil}` is an address that nobody is to call.
BAD = {
    "workspace_id": (f"{WORKSPACE}\n::error::x", "../../jobs"),
    "token": ("a-token\r\nX-Injected: header", "tökén-of-letters"),
    "deployment_secret": ("two\nlines", "$DEPLOYMENT_SECRET"),
    "api_url": (f"http://someone:{HIDDEN}@{{evil}}/api", "//{evil}/api"),
    "auth_url": (f"http://{{evil}}/#{HIDDEN}", "https://app.matatika.com:99999/api"),
    "audience": ("two\nlines", "two\nlines"),
    "timeout": ("9" * 5000, "soon"),
    "logs": ("verbose", "::error::x"),
    "workspace_directory": ("a/../../b", "a\nb"),
    "ca_bundle": ("../../../etc/ssl/certs/ca-certificates.crt", "control-\x01"),
}
NAMES = {name.replace("_", "-") for name in BAD}
CREDENTIALS = {"token", "client-id", "client-secret", "deployment-secret"}


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        *(({name: values[turn] for name, values in BAD.items()}, NAMES) for turn in (0, 1)),
        ({"token": " \n"}, CREDENTIALS),
        ({"token": "", "client_id": ID, "client_secret": "a\nnother"}, {"client-secret"}),
        ({"client_id": ID, "client_secret": KEY}, {"token", "client-id", "client-secret"}),
        ({"client_id": ID}, {"token", "client-id", "client-secret"}),
    ],
    ids=lambda value: "-".join(sorted(value))[:60],
)
def test_step_ends_at_once_with_one_error_that_names_them_all(
    tmp_path: Path, inputs: Mapping[str, str], names: set[str]
) -> None:
    with stage(tmp_path) as here:
        evil = here.peer.elsewhere_url.removeprefix("http://")
        given = {name: value.replace("{evil}", evil) for name, value in inputs.items()}
        here.step.environ |= {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in given.items()}
        result = here.run(hides_secrets=False)
        assert here.peer.requests == []
    reading = result.log
    assert (result.code, set(result.outputs), result.state) == (2, {"outcome", "message"}, {})
    assert result.outputs["outcome"] == "error"
    (error,) = reading.of("error")
    assert error.properties == {"title": "Bad input"}
    assert {name for name in names if f"`{name}`" in error.data} == names
    assert not [name for name in NAMES - names if f"`{name}` must" in error.data]
    assert "Bad input" in result.summary
    # No secret shows, and none is more than masked; a password in an address is one too, but cannot be masked.
    masks = {command.data for command in reading.of("add-mask")}
    said = "\n".join([*reading.shown, *(command.data for command in reading.commands if command.name != "add-mask")])
    secrets = [line for name in SECRETS for line in given.get(name, "").strip().splitlines() if len(line) > 3]
    assert masks == {*secrets, *([constants.TOKEN] if "token" not in given else [])}
    for secret in [*secrets, HIDDEN]:
        assert not [form for form in forms(secret) if form in (said + result.summary).encode()], secret


@pytest.mark.parametrize("are_absent", [False, True])
def test_a_process_without_any_input_is_bad_input(tmp_path: Path, are_absent: bool) -> None:
    """Empty, as the runner hands them on, or not there at all."""
    step = Step(tmp_path / "step")
    for name in [name for name in step.environ if name.startswith("INPUT_") and are_absent]:
        del step.environ[name]
    result = step.run_process()
    assert (result.code, result.outputs["outcome"], result.state) == (2, "error", {})
    (error,) = result.log.said("error")
    assert all(text in error for text in ("`workspace-id`", "credential"))
