"""What an answer says, as far as it says anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.http import Answer
from matatika_deploy.platform.job import Unreadable

# The reference's own example.
ERROR: dict[str, Any] = {
    "timestamp": "2023-03-23T21:48:40.816+00:00",
    "status": 404,
    "error": "Not Found",
    "errors": [],
    "message": "Workspace not found",
    "path": "/api/workspaces/x/deployments",
}


def answer(body: object, status: int = 404, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), 0, 0)


class TestMessage:
    """The platform's own words for a failure."""

    def test_of_the_api(self) -> None:
        assert answer(ERROR).message == "Workspace not found"

    def test_of_the_token_endpoint(self) -> None:
        body = {"error": "access_denied", "error_description": "Unauthorized"}
        assert answer(body).message == "Unauthorized"

    def test_the_error_will_do_without_a_message(self) -> None:
        for message in (None, "", "  ", 17, ["x"]):
            assert answer(ERROR | {"message": message}).message == "Not Found"
        assert answer({"error": "Not Found"}).message == "Not Found"

    def test_fields_that_failed_are_named(self) -> None:
        errors = [
            {"field": "name", "message": "must not be blank", "code": "NotBlank"},
            {"field": "branch", "defaultMessage": "is unknown"},
            {"field": 17, "message": "left out"},
            "left out",
            {"field": "left out for being the fifth", "message": "x"},
        ]
        assert answer(ERROR | {"errors": errors}).message == (
            "Workspace not found (name: must not be blank) (branch: is unknown)"
        )

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html><h1>502 Bad Gateway</h1>", b"\xff", b"[" * 100_000, [], "text", None, 17, {}, {"message": {}}],
    )
    def test_there_may_be_none(self, body: object) -> None:
        assert answer(body).message == ""

    @given(
        st.dictionaries(
            st.sampled_from([*ERROR, "error_description"]), st.text() | st.integers() | st.lists(st.text(), max_size=2)
        )
    )
    def test_whatever_the_body(self, body: dict[str, object]) -> None:
        assert isinstance(answer(body).message, str)


@pytest.mark.parametrize(
    ("status", "phrase"), [(404, "404 Not Found"), (502, "502 Bad Gateway"), (599, "599"), (999, "999")]
)
def test_a_status_has_its_phrase(status: int, phrase: str) -> None:
    assert answer(b"", status).phrase == phrase


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000, b"1" * 5000])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        answer(body).json()


def test_the_date_is_the_platform_s() -> None:
    assert answer(b"", headers={"Date": "Thu, 23 Mar 2023 21:48:40 GMT"}).date == 1679608120
    assert answer(b"", headers={"Date": "soon"}).date is None
    assert answer(b"").date is None
