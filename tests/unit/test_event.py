"""The event that started the workflow is the webhook's body, byte for byte, if it is a push."""

from pathlib import Path

import pytest

from matatika_deploy.github.event import push_event


@pytest.mark.parametrize("content", [b'{"ref": "refs/heads/main"}', b'{\r\n "\xff": 1 }\n\n', b"", b"{}"])
def test_push_is_handed_on_byte_for_byte(tmp_path: Path, content: bytes) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(content)
    assert push_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}) == content


@pytest.mark.parametrize("name", ["workflow_dispatch", "pull_request", "schedule", "PUSH", ""])
def test_any_other_event_is_an_empty_object(tmp_path: Path, name: str) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(b'{"ref": "refs/heads/main"}')
    assert push_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(event)}) == b"{}"


@pytest.mark.parametrize("path", [None, "", "/missing/event.json", "/", "/dev/zero", "\0"])
def test_push_without_a_file_is_an_empty_object(path: str | None) -> None:
    given = {} if path is None else {"GITHUB_EVENT_PATH": path}
    assert push_event({"GITHUB_EVENT_NAME": "push", **given}) == b"{}"


def test_no_event_is_an_empty_object() -> None:
    assert push_event({}) == b"{}"
