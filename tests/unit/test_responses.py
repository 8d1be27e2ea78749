"""What an answer means is one table: every status, every kind of body, and every way to get no answer."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
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

# The reference's own example.
ERROR: dict[str, Any] = {
    "timestamp": "2026-04-23T15:20:12.191775288",
    "status": 404,
    "error": "Not Found",
    "errors": [],
    "message": "Workspace not found",
    "path": "/api/workspaces/x/deployments",
}
# As nginx and Cloudflare send theirs.
NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
CLOUDFLARE = (
    '<!DOCTYPE html>\n<html lang="en-US">\n<head><title>Just a moment...</title></head>\n'
    "<body><p>Error {0}</p><p>Cloudflare Ray ID: 8f1e2d3c4b5a6978</p></body></html>"
)
JSON, HTML, TEXT = "application/json", "text/html; charset=UTF-8", "text/plain"


def respond(status: int, body: object = b"", content_type: str = "", **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"Content-Type": content_type} if content_type else {}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, given, data, NOW.timestamp() - 1, NOW.timestamp())


def of_the_api(status: int) -> Response:
    return respond(status, ERROR | {"status": status}, JSON)


def of_a_gateway(status: int) -> Response:
    """Kong, AWS and Google call it `code`, `detail` or the like."""
    return respond(status, {"code": status, "detail": "upstream"}, JSON)


def page(status: int) -> Response:
    return respond(status, NGINX.format(status).encode(), HTML)


def empty(status: int) -> Response:
    return respond(status)


BODIES = {"API": of_the_api, "gateway": of_a_gateway, "page": page, "empty": empty}
EVERY_STATUS = [*range(200, 600), 600, 700, 999]


def expected_kind(status: int, body: str) -> Kind:
    """The contract's words (*Trigger, once* and *Retry*), spelled out anew."""
    if 200 <= status <= 299:
        return Kind.AMBIGUOUS if body == "page" and status != 204 else Kind.OK
    if status == 503:
        return Kind.NOT_EXECUTED if body == "API" else Kind.AMBIGUOUS
    if status in (425, 429):
        return Kind.NOT_EXECUTED
    if status == 408 or status >= 500:
        return Kind.AMBIGUOUS
    return {401: Kind.UNAUTHORIZED, 409: Kind.CONFLICT}.get(status, Kind.REJECTED)


@pytest.mark.parametrize("body", BODIES)
def test_every_status_has_its_kind(body: str) -> None:
    wrong = {
        status: (kind, expected_kind(status, body))
        for status in EVERY_STATUS
        if (kind := classify(BODIES[body](status)).kind) is not expected_kind(status, body)
    }
    assert not wrong


@pytest.mark.parametrize("body", BODIES)
def test_every_refusal_tells_the_word_of_the_api_from_that_of_a_gateway(body: str) -> None:
    for status in EVERY_STATUS:
        if status < 300 or status == 407:
            continue
        verdict = classify(BODIES[body](status))
        # A 401 is always the API's own.
        assert verdict.is_from_api == (body == "API" or status == 401), status
        assert verdict.is_web_page == (body == "page"), status
        assert verdict.status == status
        assert verdict.failure is None
        assert verdict.message == ("Workspace not found" if body == "API" else "")


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(202, "202 Accepted"), (404, "404 Not Found"), (502, "502 Bad Gateway"), (520, "520"), (599, "599"), (999, "999")],
)
def test_status_has_its_phrase(status: int, phrase: str) -> None:
    assert classify(empty(status)).phrase == phrase


# Each failure, by what the contract says of it: was anything sent, and can it be tried again at all?
FAILURES: Mapping[Failure, Kind] = {
    Failure.NAME_NOT_RESOLVED: Kind.NOT_EXECUTED,
    Failure.CONNECT_TIMEOUT: Kind.NOT_EXECUTED,
    Failure.NOT_CONNECTED: Kind.NOT_EXECUTED,
    Failure.PROXY_NOT_CONNECTED: Kind.NOT_EXECUTED,
    Failure.TLS_HANDSHAKE: Kind.NOT_EXECUTED,
    Failure.PROXY_REFUSED: Kind.REJECTED,
    Failure.PROXY_INVALID: Kind.REJECTED,
    Failure.CERTIFICATE_NOT_TRUSTED: Kind.REJECTED,
    Failure.WRONG_HOST_NAME: Kind.REJECTED,
    Failure.TLS_LATER: Kind.AMBIGUOUS,
    Failure.READ_TIMEOUT: Kind.AMBIGUOUS,
    Failure.TOTAL_TIMEOUT: Kind.AMBIGUOUS,
    Failure.CONNECTION_LOST: Kind.AMBIGUOUS,
    Failure.BODY_LOST: Kind.AMBIGUOUS,
    Failure.BODY_SILENT: Kind.AMBIGUOUS,
    Failure.BODY_TOO_LARGE: Kind.AMBIGUOUS,
}


@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name)
def test_every_failure_has_its_kind_and_a_phrase_of_its_own(failure: Failure) -> None:
    verdict = classify(TransportError(failure, "DETAIL"))
    assert verdict.kind is FAILURES[failure]
    assert verdict.failure is failure
    assert (verdict.status, verdict.is_from_api, verdict.is_web_page, verdict.retry_after) == (None, False, False, None)
    assert ("DETAIL" in verdict.phrase) == ("{}" in failure.phrase)
    assert "{}" not in verdict.phrase


def test_no_failure_is_another_one_by_accident() -> None:
    """Two members of an enumeration with equal values would be one."""
    assert len(Failure) == len(FAILURES)
    assert len({failure.phrase for failure in Failure}) == len(Failure)


def test_body_that_cannot_be_used_is_ambiguous() -> None:
    verdict = classify(InvalidResponse("expected a job"))
    assert verdict == Verdict(Kind.AMBIGUOUS, "an answer that cannot be used (expected a job)")


class TestServiceUnavailable:
    """Only a `503` with the API's own error body proves that nothing was done."""

    def test_full_error_body_is_the_api_s_own(self) -> None:
        assert classify(respond(503, ERROR | {"status": 503}, JSON)).kind is Kind.NOT_EXECUTED

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"{",
            b"[]",
            b'"503"',
            b"null",
            b"503 Service Unavailable",
            {"code": 503},
            {"fault": {"faultstring": "unavailable"}},
            NGINX.format("503 Service Temporarily Unavailable").encode(),
            CLOUDFLARE.format(503).encode(),
        ],
        ids=lambda body: ascii(body)[:40],
    )
    @pytest.mark.parametrize("content_type", ["", JSON, HTML, TEXT])
    def test_anything_else_leaves_it_open(self, body: object, content_type: str) -> None:
        assert classify(respond(503, body, content_type)).kind is Kind.AMBIGUOUS


class TestWebPages:
    """HTML is never the API's answer."""

    @pytest.mark.parametrize(
        "content_type",
        ["text/html", "TEXT/HTML; charset=utf-8", " text/html", "application/xhtml+xml"],
    )
    @pytest.mark.parametrize("status", [200, 201, 202, 302, 403, 404, 405, 502])
    def test_page_is_known_by_its_type(self, status: int, content_type: str) -> None:
        assert classify(respond(status, b"anything", content_type)).is_web_page

    @pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>", b"\n  <!doctype HTML>", b"<HTML lang=en>", b"<html>"])
    def test_page_without_a_type_is_known_by_its_beginning(self, body: bytes) -> None:
        assert classify(respond(200, body)).is_web_page

    @pytest.mark.parametrize("content_type", [JSON, "application/hal+json", TEXT])
    def test_log_or_json_that_looks_like_a_page_is_none(self, content_type: str) -> None:
        assert classify(respond(200, b"<html>", content_type)).kind is Kind.OK

    def test_no_content_is_no_page_whatever_its_type(self) -> None:
        """Some frameworks name a type for an empty body."""
        assert classify(respond(204, b"", HTML)).kind is Kind.OK

    @pytest.mark.parametrize("status", [200, 202, 404, 405])
    def test_page_of_a_web_server_that_knows_no_api_is_told_apart(self, status: int) -> None:
        assert classify(page(status)).may_be_web_app
        assert not classify(of_the_api(status)).may_be_web_app
        assert not classify(of_a_gateway(status)).may_be_web_app

    @pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 410, 429, 500, 502, 503, 520])
    def test_other_pages_say_nothing_about_the_address(self, status: int) -> None:
        assert not classify(page(status)).may_be_web_app


class TestCloudflare:
    """What stands in front of the platform, and speaks HTML."""

    @pytest.mark.parametrize("status", range(520, 531))
    def test_its_own_statuses_leave_it_open(self, status: int) -> None:
        verdict = classify(respond(status, CLOUDFLARE.format(status).encode(), HTML, Server="cloudflare"))
        assert (verdict.kind, verdict.is_from_api, verdict.phrase) == (Kind.AMBIGUOUS, False, str(status))

    def test_challenge_is_no_word_of_the_api_on_permissions(self) -> None:
        verdict = classify(respond(403, CLOUDFLARE.format(403).encode(), HTML, Server="cloudflare"))
        assert (verdict.kind, verdict.is_from_api, verdict.is_web_page) == (Kind.REJECTED, False, True)

    def test_rate_limit_is_kept(self) -> None:
        verdict = classify(respond(429, b"error code: 1015", TEXT, Retry_After="30"))
        assert (verdict.kind, verdict.retry_after, verdict.is_from_api) == (Kind.NOT_EXECUTED, 30, False)


@pytest.mark.parametrize("body", BODIES)
def test_proxy_that_refuses_the_password_is_a_rejection(body: str) -> None:
    """A `407` comes from a proxy for `http:` addresses as an answer like any other."""
    verdict = classify(BODIES[body](407))
    assert (verdict.kind, verdict.failure) == (Kind.REJECTED, Failure.PROXY_REFUSED)
    assert "407 Proxy Authentication Required" in verdict.phrase


class TestRedirects:
    """They are never followed, and named."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirect_is_rejected_with_its_address(self, status: int) -> None:
        verdict = classify(respond(status, b"", Location="https://other.example/api"))
        assert (verdict.kind, verdict.location) == (Kind.REJECTED, "https://other.example/api")

    def test_redirect_may_lack_an_address(self) -> None:
        assert classify(respond(302)).location == ""

    @pytest.mark.parametrize("status", [200, 201, 202, 404, 503])
    def test_location_of_any_other_answer_is_no_redirect(self, status: int) -> None:
        assert classify(respond(status, {"id": 1}, JSON, Location="/jobs/1")).location == ""


class TestErrorBody:
    """The API's own word: a JSON object with `status`, `message` or `error`."""

    @pytest.mark.parametrize("key", ["status", "message", "error"])
    @pytest.mark.parametrize("value", [None, 17, "", {}])
    def test_one_of_its_keys_will_do(self, key: str, value: object) -> None:
        assert classify(respond(403, {key: value})).is_from_api

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html><h1>403</h1>",
            b"\xff",
            b"[" * 100_000,
            b'{"message": "cut o',
            [],
            ["message"],
            "message",
            None,
            17,
            {},
            {"Message": "Forbidden"},
            {"detail": "no"},
        ],
        ids=lambda body: ascii(body)[:40],
    )
    def test_anything_else_is_somebody_else_s(self, body: object) -> None:
        verdict = classify(respond(403, body))
        assert not verdict.is_from_api
        assert verdict.message == ""


class TestMessage:
    """The platform's own words for a failure."""

    def message(self, body: object) -> str:
        return classify(respond(404, body)).message

    def test_message_of_the_api(self) -> None:
        assert self.message(ERROR) == "Workspace not found"

    def test_message_of_the_token_endpoint(self) -> None:
        assert self.message({"error": "access_denied", "error_description": "Unauthorized"}) == "Unauthorized"

    def test_error_will_do_without_a_message(self) -> None:
        for message in (None, "", "  ", 17, ["x"]):
            assert self.message(ERROR | {"message": message}) == "Not Found"
        assert self.message({"error": "Not Found"}) == "Not Found"

    def test_fields_that_failed_are_named_without_their_values(self) -> None:
        errors = [
            {"field": "name", "message": "must not be blank", "code": "NotBlank", "rejectedValue": "s3cret"},
            {"field": "branch", "defaultMessage": "is unknown"},
            {"field": 17, "message": "left out"},
            "left out",
            {"field": "left out for being the fifth", "message": "x"},
        ]
        assert self.message(ERROR | {"errors": errors}) == (
            "Workspace not found (name: must not be blank) (branch: is unknown)"
        )

    def test_message_has_a_limit(self) -> None:
        assert len(self.message({"message": "x" * 60_000})) == 2000

    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, [], "text", None, 17, {"message": {}}])
    def test_message_may_be_missing(self, body: object) -> None:
        assert self.message(body) == ""

    @given(
        st.dictionaries(
            st.sampled_from([*ERROR, "error_description"]), st.text() | st.integers() | st.lists(st.text(), max_size=2)
        )
    )
    def test_message_is_text_whatever_the_body(self, body: dict[str, object]) -> None:
        assert isinstance(self.message(body), str)

    def test_verdict_shows_phrase_and_message(self) -> None:
        assert str(classify(respond(404, ERROR))) == "404 Not Found: Workspace not found"
        assert str(classify(respond(404, ERROR | {"message": "No. "}))) == "404 Not Found: No"
        assert str(classify(respond(404, ERROR | {"message": "Not found."}))) == "404 Not Found"
        assert str(classify(respond(404))) == "404 Not Found"


class TestRetryAfter:
    """`Retry-After`, as RFC 9110, 10.2.3 has it, and as servers really send it."""

    def asked(self, value: str, **headers: str) -> float | None:
        return classify(respond(429, b"", Retry_After=value, **headers)).retry_after

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("1", 1),
            ("120", 120),
            (" 5 ", 5),
            ("007", 7),
            ("Thu, 23 Mar 2023 21:49:40 GMT", 60),
            ("Thursday, 23-Mar-23 21:49:40 GMT", 60),
            ("Thu Mar 23 21:49:40 2023", 60),
            ("Thu, 23 Mar 2023 22:49:40 +0100", 60),
            ("Fri, 24 Mar 2023 21:48:40 GMT", 86400),
        ],
    )
    def test_value_asks_for_a_pause(self, value: str, seconds: float) -> None:
        assert self.asked(value, Date=DATE) == seconds

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "0",
            "000",
            "-5",
            "+5",
            "1.5",
            "5s",
            "1e3",
            "soon",
            "inf",
            "nan",
            "\u0661",
            "\xb2",
            DATE,
            "Thu, 23 Mar 2023 21:40:00 GMT",
            "Thu, 99 Foo 2023 99:99:99 GMT",
            "Thu, 23 Mar 99999999999 21:49:40 GMT",
        ],
    )
    def test_value_asks_for_none(self, value: str) -> None:
        assert self.asked(value, Date=DATE) is None

    @pytest.mark.parametrize("value", ["99999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
    def test_value_may_ask_for_more_than_anyone_will_wait(self, value: str) -> None:
        assert 24 * 3600 < (self.asked(value, Date=DATE) or 0) <= 1e9

    @given(st.text() | st.from_regex(r"[A-Za-z]{3}, [0-9]{1,3} [A-Za-z]{3} [0-9]{1,5} [0-9:]{1,9} ?[A-Z+-]*[0-9]*"))
    def test_any_other_value_is_none_or_a_pause(self, value: str) -> None:
        found = self.asked(value, Date=DATE)
        assert found is None or found > 0

    def test_date_counts_against_the_sender_s_own_clock(self) -> None:
        ten_minutes_ahead = "Thu, 23 Mar 2023 21:58:40 GMT"
        assert self.asked("Thu, 23 Mar 2023 21:59:40 GMT", Date=ten_minutes_ahead) == 60

    def test_date_counts_against_ours_where_the_sender_gives_none(self) -> None:
        assert self.asked("Thu, 23 Mar 2023 21:49:40 GMT") == 60

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
    @pytest.mark.parametrize("body", ["API", "page", "empty"])
    def test_every_refusal_can_ask_for_a_pause(self, status: int, body: str) -> None:
        response = BODIES[body](status)
        asked = response._replace(headers={**response.headers, "Retry-After": "7"})
        assert classify(asked).retry_after == 7

    def test_no_header_asks_for_nothing(self) -> None:
        assert classify(respond(503)).retry_after is None


class TestHttpDate:
    """The dates of HTTP, in whole seconds."""

    @given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
    def test_every_date_is_read_back(self, moment: datetime) -> None:
        assert http_date(format_datetime(moment, usegmt=True)) == int(moment.timestamp())

    @pytest.mark.parametrize("value", [None, "", "now", "1679608120"])
    def test_nonsense_is_none(self, value: str | None) -> None:
        assert http_date(value) is None

    def test_date_without_a_zone_is_utc(self) -> None:
        assert http_date("Thu, 23 Mar 2023 21:48:40 -0000") == NOW.timestamp()
        assert http_date("Thu, 23 Mar 2023 21:48:40") == NOW.timestamp()

    def test_response_has_the_date_of_its_sender(self) -> None:
        assert respond(200, Date=DATE).date == NOW.timestamp()
        assert respond(200, Date="soon").date is None
        assert respond(200).date is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000, b"1" * 5000])
def test_body_that_is_no_json_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        respond(200, body).json()
