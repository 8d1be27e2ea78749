"""The platform's own Python client (`matatika` on PyPI) takes the simulator for the platform."""

from pathlib import Path

import pytest
from matatika.exceptions import MatatikaException  # type: ignore[import-untyped]
from matatika.library import MatatikaClient  # type: ignore[import-untyped]

from matatika_simulator import Simulator, constants
from tests.support.api_client import UNKNOWN
from tests.support.tls import make_certificate

KEY = {"client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}


@pytest.mark.parametrize(
    ("credentials", "authorised"),
    [
        ({"auth_token": constants.TOKEN}, [True]),
        (KEY, [True, True]),
        ({"auth_token": "old", **KEY}, [False, True, True]),
    ],
)
def test_signs_in_renews_its_token_and_understands_the_error_body(
    credentials: dict[str, str], authorised: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    # When the client renews a token, it forgets the variable.
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate[0]))
    with Simulator({}, tls=certificate) as simulator:
        # The client knows the platform's own hosts only.
        monkeypatch.setattr("matatika.auth.STAGING", simulator.url.removeprefix("https://"))
        client = MatatikaClient(endpoint_url=simulator.api_url, **credentials)
        with pytest.raises(MatatikaException, match="Not Found"):
            client.get_dataset(UNKNOWN)
        assert [entry.authorised for entry in simulator.journal] == authorised
