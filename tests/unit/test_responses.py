"""What an answer means is one table: every status, every kind of body, and every way to get no answer."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.platform.responses import (
    Failure,
    InvalidResponse,
    Kind,
    Response,
    TransportError,
    Verdict,
    classify,
    http_date,
)

NOW = datetime(2023, 3, 23, 21, 48, 40, tzinfo=UTC)
DATE = "Thu, 23 Mar 2023 21:48:40 GMT"
JSON, HTML = "application/json", "text/html; charset=UTF-8"

# The reference's own example.
ERROR: dict[str, Any] = {
    "timestamp": "2026-04-23T15:20:12.191775288",
    "status": 404,
    "error": "Not Found",
    "errors": [],
    "message": "Workspace not found",
    "path": "/api/workspaces/x/deployments",
}
# Kong, AWS and Google call the status `code`.
SENDERS: dict[str, tuple[object, str]] = {
    "API": (ERROR, JSON),
    "gateway": ({"code": 503, "detail": "upstream"}, JSON),
    "page": (b"<html><h1>No</h1></html>", HTML),
    "empty": (b"", ""),
}


def respond(status: int, body: object = b"", content_type: str = "", **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"Content-Type": content_type} if content_type else {}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, given, data, NOW.timestamp() - 1, NOW.timestamp())


def expected_kind(status: int, sender: str) -> Kind:
    """The contract's words (*Trigger, once* and *Retry*), spelled out anew."""
    if 200 <= status <= 299:
        return Kind.AMBIGUOUS if sender == "page" and status != 204 else Kind.OK
    if status == 503:
        return Kind.NOT_EXECUTED if sender == "API" else Kind.AMBIGUOUS
    if status in (425, 429):
        return Kind.NOT_EXECUTED
    if status == 408 or status >= 500:
        return Kind.AMBIGUOUS
    return {401: Kind.UNAUTHORIZED, 409: Kind.CONFLICT}.get(status, Kind.REJECTED)


@pytest.mark.parametrize("sender", SENDERS)
def test_every_answer_has_its_kind_and_its_sender(sender: str) -> None:
    body, content_type = SENDERS[sender]
    for status in [*range(200, 600), 600, 999]:
        said = {**ERROR, "status": status} if sender == "API" else body
        verdict = classify(respond(status, said, content_type, Retry_After="7", Location="https://other.example/api"))
        assert verdict.kind is expected_kind(status, sender), status
        assert verdict.status == status
        # No redirect is followed: it is named.
        assert verdict.location == ("https://other.example/api" if 300 <= status <= 399 else ""), status
        if status == 407:
            # It comes from a proxy for `http:` addresses as an answer like any other.
            assert verdict.failure is Failure.PROXY_REFUSED
            assert "407 Proxy Authentication Required" in verdict.phrase
        elif verdict.kind is not Kind.OK:
            # A 401 is always the API's own.
            assert verdict.is_from_api == (sender == "API" or status == 401), status
            assert verdict.is_web_page == (sender == "page"), status
            is_web_app = sender == "page" and (status < 300 or status in (404, 405))
            assert verdict.may_be_web_app == is_web_app, status
            assert verdict.message == ("Workspace not found" if sender == "API" else "")
            assert (verdict.failure, verdict.retry_after) == (None, 7)
    assert [classify(respond(status)).phrase for status in (404, 520)] == ["404 Not Found", "520"]


# The failures, by what the contract says of them: was anything sent, and can it be tried again at all?
FAILURES = {
    Kind.NOT_EXECUTED: "NAME_NOT_RESOLVED CONNECT_TIMEOUT NOT_CONNECTED PROXY_NOT_CONNECTED TLS_HANDSHAKE",
    Kind.REJECTED: "PROXY_REFUSED PROXY_INVALID CERTIFICATE_NOT_TRUSTED WRONG_HOST_NAME",
    Kind.AMBIGUOUS: "TLS_LATER READ_TIMEOUT TOTAL_TIMEOUT CONNECTION_LOST BODY_LOST BODY_SILENT BODY_TOO_LARGE",
}


def test_every_failure_has_its_kind_and_a_phrase_of_its_own() -> None:
    kinds = {name: kind for kind, names in FAILURES.items() for name in names.split()}
    # Two members of an enumeration with equal values would be one.
    assert {failure.name for failure in Failure} == set(kinds)
    assert len({failure.phrase for failure in Failure}) == len(kinds)
    for failure in Failure:
        verdict = classify(TransportError(failure, "DETAIL"))
        assert verdict == Verdict(kinds[failure.name], failure.phrase.replace("{}", "DETAIL"), failure=failure)
    invalid = classify(InvalidResponse("expected a job"))
    assert invalid == Verdict(Kind.AMBIGUOUS, "an answer that cannot be used (expected a job)")


NO_JSON = [b"", b"<html>", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"message": "cut o']


@pytest.mark.parametrize(
    "body", [*NO_JSON, ["message"], "message", None, {"Message": "Forbidden"}], ids=lambda it: ascii(it)[:30]
)
@pytest.mark.parametrize("content_type", ["", JSON, HTML])
def test_error_body_of_the_api_needs_one_of_its_keys_and_any_other_is_somebody_else_s(
    body: object, content_type: str
) -> None:
    refused = classify(respond(403, body, content_type))
    assert (refused.is_from_api, refused.message) == (False, "")
    assert classify(respond(503, body, content_type)).kind is Kind.AMBIGUOUS
    for key, value in (("status", None), ("message", {}), ("error", 17)):
        own = classify(respond(403, {key: value}, content_type))
        assert (own.is_from_api, own.message) == (True, "")
    # The API's own body proves that nothing was done only if it says 503 itself.
    assert classify(respond(503, ERROR)).kind is Kind.AMBIGUOUS


@pytest.mark.parametrize("body", NO_JSON, ids=lambda it: ascii(it)[:30])
def test_body_that_is_no_json_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        respond(200, body).json()


@pytest.mark.parametrize(
    ("body", "content_type", "is_page"),
    [
        (b"anything", "TEXT/HTML", True),
        (b"anything", " application/xhtml+xml", True),
        (b"<!DOCTYPE html><p>", "", True),
        (b"\n  <HTML lang=en>", "", True),
        # A log, or JSON, that looks like one.
        (b"<html>", "text/plain", False),
        (b"<html>", "application/hal+json", False),
    ],
)
def test_page_is_known_by_its_type_and_without_one_by_its_beginning(
    body: bytes, content_type: str, is_page: bool
) -> None:
    verdict = classify(respond(200, body, content_type))
    assert (verdict.is_web_page, verdict.kind is Kind.OK) == (is_page, not is_page)


# The values that were rejected may be secrets.
FIELDS = [
    {"field": "name", "message": "must not be blank", "code": "NotBlank", "rejectedValue": "s3cret"},
    {"field": "branch", "defaultMessage": "is unknown"},
    {"field": 17, "message": "left out"},
    {"field": "left out for being the fourth", "message": "x"},
]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (ERROR, "404 Not Found: Workspace not found"),
        ({"error": "access_denied", "error_description": "Unauthorized"}, "404 Not Found: Unauthorized"),
        *(({"message": text, "error": "Gone."}, "404 Not Found: Gone") for text in (None, "", "  ", 17, ["x"])),
        ({"message": "x" * 60_000}, f"404 Not Found: {'x' * 4000}"),
        (
            {**ERROR, "message": "No", "errors": FIELDS},
            "404 Not Found: No (name: must not be blank) (branch: is unknown)",
        ),
        *(({"message": text}, "404 Not Found") for text in ("Not found.", "404 not found", "")),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_first_text_of_an_error_body_is_shown_without_saying_the_same_twice(body: object, shown: str) -> None:
    assert str(classify(respond(404, body))) == shown


def asked(value: str, **headers: str) -> float | None:
    return classify(respond(429, b"", Retry_After=value, **headers)).retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((" 5 ", 5), ("007", 7), ("9" * 400, 1e9)),
        ("Thu, 23 Mar 2023 21:49:40 GMT", 60),
        ("Thursday, 23-Mar-23 21:49:40 GMT", 60),
        ("Thu Mar 23 21:49:40 2023", 60),
        ("Thu, 23 Mar 2023 22:49:40 +0100", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 1e9),
        *((value, None) for value in ("", "000", "-5", "1.5", "5s", "1e3", "soon", "inf", "\u0661", "\xb2")),
        *((value, None) for value in (DATE, "Thu, 23 Mar 2023 21:40:00 GMT", "Thu, 99 Foo 2023 99:99:99 GMT")),
        ("Thu, 23 Mar 99999999999 21:49:40 GMT", None),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_retry_after_asks_for_a_pause_or_for_none(value: str, seconds: float | None) -> None:
    """RFC 9110, 10.2.3, and what servers really send."""
    assert asked(value, Date=DATE) == seconds
    # It counts against the sender's own clock, and else against ours.
    assert asked(value) == seconds
    assert asked("Thu, 23 Mar 2023 21:59:40 GMT", Date="Thu, 23 Mar 2023 21:58:40 GMT") == 60


@settings(max_examples=50)
@given(st.text() | st.from_regex(r"[A-Za-z]{3}, [0-9]{1,3} [A-Za-z]{3} [0-9]{1,5} [0-9:]{1,9} ?[A-Z+-]*[0-9]*"))
def test_any_retry_after_is_none_or_a_pause(value: str) -> None:
    found = asked(value, Date=DATE)
    assert found is None or found > 0


@settings(max_examples=50)
@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_every_http_date_is_read_back(moment: datetime) -> None:
    assert http_date(format_datetime(moment, usegmt=True)) == int(moment.timestamp())


def test_http_date_without_a_zone_is_utc_and_nonsense_is_none() -> None:
    dates = ["Thu, 23 Mar 2023 21:48:40 -0000", "Thu, 23 Mar 2023 21:48:40", "", "now", "1679608120"]
    assert [respond(200, Date=value).date for value in dates] == [NOW.timestamp()] * 2 + [None] * 3
