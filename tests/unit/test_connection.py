"""What the settings say becomes addresses and bodies."""

from pathlib import Path

import pytest

from matatika_deploy.connection import USER_AGENT, push_event, workspace_url
from matatika_deploy.github.inputs import read_settings
from matatika_deploy.version import __version__

SETTINGS = read_settings({"INPUT_WORKSPACE-ID": "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e", "INPUT_TOKEN": "t0ken"})


@pytest.mark.parametrize(
    ("api_url", "origin"),
    [
        ("https://app.matatika.com/api", "https://app.matatika.com"),
        ("https://catalog.matatika.com:443/api", "https://catalog.matatika.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://[::1]:8443/a/b/c", "https://[::1]:8443"),
    ],
)
def test_a_person_looks_at_the_origin_of_the_api(api_url: str, origin: str) -> None:
    found = workspace_url(SETTINGS._replace(api_url=api_url))
    assert found == f"{origin}/workspaces/5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"


def test_the_version_shows_in_every_request() -> None:
    assert f"matatika-deploy-action/{__version__}" == USER_AGENT


class TestPushEvent:
    """The webhook's body."""

    @pytest.mark.parametrize("content", [b'{"ref": "refs/heads/main"}', b'{\r\n "\xff": 1 }\n\n', b"", b"{}"])
    def test_a_push_is_handed_on_byte_for_byte(self, tmp_path: Path, content: bytes) -> None:
        event = tmp_path / "event.json"
        event.write_bytes(content)
        assert push_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}) == content

    @pytest.mark.parametrize("name", ["workflow_dispatch", "pull_request", "schedule", "PUSH", ""])
    def test_any_other_event_is_an_empty_object(self, tmp_path: Path, name: str) -> None:
        event = tmp_path / "event.json"
        event.write_bytes(b'{"ref": "refs/heads/main"}')
        assert push_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(event)}) == b"{}"

    def test_so_is_a_push_without_a_file(self, tmp_path: Path) -> None:
        assert push_event({"GITHUB_EVENT_NAME": "push"}) == b"{}"
        assert push_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": ""}) == b"{}"
        assert push_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(tmp_path / "missing")}) == b"{}"

    def test_and_no_event_at_all(self) -> None:
        assert push_event({}) == b"{}"
