"""The platform's own Python client (`matatika` on PyPI) takes the simulator for the platform."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from matatika.exceptions import MatatikaException  # type: ignore[import-untyped]
from matatika.library import MatatikaClient  # type: ignore[import-untyped]
from matatika.types import Resource  # type: ignore[import-untyped]

from matatika_simulator import Simulator, constants
from tests.support.tls import make_certificate

KEY = {"client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    # When the client renews a token, it forgets the variable.
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate[0]))
    with Simulator({}, tls=certificate) as simulator:
        # The client knows the platform's own hosts only.
        monkeypatch.setattr("matatika.auth.STAGING", simulator.url.removeprefix("https://"))
        yield simulator


@pytest.mark.parametrize(
    ("credentials", "calls"),
    [
        ({"auth_token": constants.TOKEN}, ["workspaces"]),
        (KEY, ["token", "workspaces"]),
        ({"auth_token": "expired", **KEY}, ["workspaces", "token", "workspaces"]),
    ],
)
def test_signs_in_and_reads_the_workspaces(simulator: Simulator, credentials: dict[str, str], calls: list[str]) -> None:
    client = MatatikaClient(endpoint_url=simulator.api_url, **credentials)
    (workspace,) = client.list_resources(Resource.WORKSPACE)
    assert (workspace["id"], workspace["repositoryUrl"]) == (constants.WORKSPACE_ID, constants.REPOSITORY_URL)
    assert [entry.call for entry in simulator.journal] == calls


def test_understands_the_error_body(simulator: Simulator) -> None:
    client = MatatikaClient(constants.TOKEN, endpoint_url=simulator.api_url)
    with pytest.raises(MatatikaException, match="Not Found"):
        client.get_dataset(str(uuid.uuid4()))
