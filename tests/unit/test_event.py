"""The event that started the workflow is the webhook's body, byte for byte, if it is a push."""

from pathlib import Path

import pytest

from matatika_deploy.github.event import push_event


@pytest.mark.parametrize("content", [b'{\r\n "\xff": 1 }\n\n', b""])
@pytest.mark.parametrize(("name", "is_push"), [("push", True), ("workflow_dispatch", False), ("PUSH", False)])
def test_push_is_handed_on_byte_for_byte(tmp_path: Path, name: str, is_push: bool, content: bytes) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(content)
    given = {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(event)}
    assert push_event(given) == (content if is_push else b"{}")


def test_push_without_a_file_is_an_empty_object() -> None:
    for path in ("", "/missing/event.json", "/", "/dev/zero", "\0"):
        assert push_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": path}) == b"{}"
    assert push_event({}) == b"{}"
