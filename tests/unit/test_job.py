"""A job is read from whatever the platform sends, as long as it has an id and a status."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.job import Job, JobStatus, parse_job, parse_timestamp
from matatika_deploy.platform.responses import InvalidResponse

ID = "7127b1d3-a114-4bec-b108-004f374f0b77"
ROOT = "https://app.matatika.com/api"

# The reference's own example: what comes right after the trigger.
QUEUED: dict[str, Any] = {
    "id": ID,
    "created": "2023-03-23T21:48:40.816543",
    "type": "WORKSPACE_DEPLOY",
    "maxAttempts": 0,
    "attempt": 0,
    "status": "QUEUED",
    "_embedded": {"profile": {"id": "auth0|1", "name": "A", "handle": "@a", "email": "a@example.com"}},
    "_links": {
        "self": {"href": f"{ROOT}/jobs/{ID}"},
        "delete job": {"href": f"{ROOT}/jobs/{ID}", "type": "DELETE"},
        "logs": {"href": f"{ROOT}/jobs/{ID}/logs?sequence=0", "type": "GET"},
        "withdraw job": {"href": f"{ROOT}/jobs/{ID}/stopped", "type": "PUT"},
    },
}
LINKS = {relation: link["href"] for relation, link in QUEUED["_links"].items()}
NO_TEXT: list[object] = [None, True, False, 0, 17, 1.5, "", [], ["x"], [None], {}, {"x": 1}]
WRONG = [*NO_TEXT, "text"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_job_right_after_the_trigger_is_read() -> None:
    assert parse_job(QUEUED) == Job(
        id=ID,
        status="QUEUED",
        type="WORKSPACE_DEPLOY",
        created=parse_timestamp("2023-03-23T21:48:40.816543"),
        attempt=0,
        links=LINKS,
    )


def test_job_at_its_end_is_read() -> None:
    job = parse_job(
        QUEUED
        | {
            "status": "ERROR",
            "exitCode": 137,
            "commitId": "1e81ff3",
            "startTime": "2023-03-23T21:48:41",
            "endTime": "2023-03-23T21:49:23.999999999",
            "triggeredBy": "deploy",
            "attempt": 2,
            "message": "Out of memory",
        }
    )
    assert (job.exit_code, job.commit_id, job.duration) == (137, "1e81ff3", 42)
    assert (job.attempt, job.message) == (2, "Out of memory")
    assert (str(job.started), str(job.ended)) == ("2023-03-23T21:48:41Z", "2023-03-23T21:49:23Z")


def test_job_of_an_older_platform_lacks_fields() -> None:
    old = {name: value for name, value in QUEUED.items() if name not in ("maxAttempts", "attempt", "_embedded")}
    assert parse_job(old) == parse_job(QUEUED)._replace(attempt=None)


def test_job_needs_only_an_id_and_a_status() -> None:
    assert parse_job({"id": "1", "status": "RUNNING"}) == Job(id="1", status="RUNNING")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("type", "commitId", "message") for value in NO_TEXT),
        *((name, value) for name in ("created", "startTime", "endTime", "_links") for value in WRONG),
    ],
)
def test_field_of_a_wrong_type_is_unknown(name: str, value: object) -> None:
    without = {key: item for key, item in QUEUED.items() if key != name}
    assert parse_job(without | {name: value}) == parse_job(without)


@pytest.mark.parametrize("value", [None, True, False, 1.5, "1", "", [], {}, float("nan"), 10**400])
def test_number_of_a_wrong_type_is_unknown(value: object) -> None:
    job = parse_job(QUEUED | {"exitCode": value, "attempt": value})
    assert (job.exit_code, job.attempt) == (None, None)


@pytest.mark.parametrize("value", [0, 1, -1, 2**40])
def test_any_whole_number_is_an_exit_code(value: int) -> None:
    assert parse_job(QUEUED | {"exitCode": value}).exit_code == value


@pytest.mark.parametrize("value", NO_TEXT)
def test_job_without_a_status_is_invalid(value: object) -> None:
    with pytest.raises(InvalidResponse, match="a status"):
        parse_job(QUEUED | {"status": value})


@pytest.mark.parametrize(
    "value",
    [
        *NO_TEXT,
        "a/b",
        "../x",
        ".",
        "..",
        "a b",
        "a?b",
        "a#b",
        "a%2Fb",
        "é",
        "a\n",
        "-a",
        "x" * 129,
    ],
)
def test_job_whose_id_could_lead_elsewhere_is_invalid(value: object) -> None:
    with pytest.raises(InvalidResponse, match="an id"):
        parse_job(QUEUED | {"id": value})


@pytest.mark.parametrize("value", [ID, ID.upper(), "17", "a.b_c~d", "x" * 128])
def test_other_ids_are_taken_as_they_are(value: str) -> None:
    assert parse_job(QUEUED | {"id": value}).id == value


@pytest.mark.parametrize("value", [value for value in WRONG if not isinstance(value, dict)])
def test_value_that_is_no_object_is_invalid(value: object) -> None:
    with pytest.raises(InvalidResponse, match="expected a job"):
        parse_job(value)


class TestStatus:
    """Three statuses are final, and any other one with an end that cannot be withdrawn."""

    @pytest.mark.parametrize("status", ["COMPLETE", "ERROR", "STOPPED"])
    @pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
    def test_final_status_ends_the_job_in_any_case_of_letters(self, status: str, case: Callable[[str], str]) -> None:
        job = parse_job({"id": "1", "status": case(status)})
        assert (job.status, job.is_over) == (status, True)

    @pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "queued", "Running"])
    @pytest.mark.parametrize("end", [{}, {"endTime": "2023-03-23T21:49:23"}])
    def test_known_status_that_is_not_final_never_ends_the_job(self, status: str, end: dict[str, str]) -> None:
        job = parse_job({"id": "1", "status": status, **end})
        assert (job.status, job.is_over) == (status.upper(), False)

    @pytest.mark.parametrize("status", ["PAUSED", "COMPLETED", "ERROR ", "Failed", "\u0131"])
    def test_unknown_status_stays_as_it_is_and_ends_nothing(self, status: str) -> None:
        job = parse_job({"id": "1", "status": status})
        assert (job.status, job.is_over) == (status, False)

    @pytest.mark.parametrize(
        ("end", "links", "is_over"),
        [
            ("2023-03-23T21:49:23", {}, True),
            ("2023-03-23T21:49:23", {"withdraw job": {"href": "/stopped"}}, False),
            (None, {}, False),
            ("soon", {}, False),
            ("2023-03-23T21:49:23", {"self": {"href": "/jobs/1"}}, True),
        ],
    )
    def test_unknown_status_is_final_with_an_end_and_without_a_way_to_withdraw(
        self, end: str | None, links: dict[str, object], is_over: bool
    ) -> None:
        assert parse_job({"id": "1", "status": "FAILED", "endTime": end, "_links": links}).is_over is is_over

    def test_each_known_one_is_one_or_the_other(self) -> None:
        assert {status for status in JobStatus if Job(id="1", status=status).is_over} == {
            JobStatus.COMPLETE,
            JobStatus.ERROR,
            JobStatus.STOPPED,
        }


class TestLinks:
    """HAL: a relation is one link, or a list of them."""

    def links(self, value: object) -> object:
        return parse_job(QUEUED | {"_links": value}).links

    def test_lists_of_one(self) -> None:
        assert self.links({relation: [link] for relation, link in QUEUED["_links"].items()}) == LINKS

    def test_of_several_the_first_counts(self) -> None:
        assert self.links({"self": [{"href": "/a"}, {"href": "/b"}]}) == {"self": "/a"}

    def test_relations_that_nobody_asked_for_do_no_harm(self) -> None:
        assert self.links({"self": {"href": "/a"}, "curies": [{"href": "/c"}]}) == {"self": "/a", "curies": "/c"}

    def test_a_template_is_no_link(self) -> None:
        assert self.links({"self": {"href": "/a{?x}", "templated": True}}) == {}
        assert self.links({"self": {"href": "/a", "templated": False}}) == {"self": "/a"}

    @pytest.mark.parametrize("value", WRONG)
    def test_what_is_no_link_is_left_out(self, value: object) -> None:
        assert self.links({"self": value, "logs": {"href": "/l"}}) == {"logs": "/l"}

    @pytest.mark.parametrize("value", [value for value in NO_TEXT if value != ""])
    def test_an_href_that_is_no_text_is_left_out(self, value: object) -> None:
        assert self.links({"self": {"href": value}}) == {}


class TestTimestamps:
    """ISO 8601, without a zone or with one, and any number of digits after the second."""

    @pytest.mark.parametrize("digits", range(10))
    def test_any_precision(self, digits: int) -> None:
        fraction = "816543219"[:digits]
        found = parse_timestamp(f"2023-03-23T21:48:40{'.' if digits else ''}{fraction}")
        assert found
        assert found.moment == utc(2023, 3, 23, 21, 48, 40, int(fraction.ljust(6, "0")[:6] or 0))
        assert str(found) == "2023-03-23T21:48:40Z"
        # The last digit that counts is the sixth.
        assert found.resolution == pytest.approx(10 ** -min(digits, 6))

    @pytest.mark.parametrize(
        "text",
        [
            "2023-03-23T21:48:40Z",
            "2023-03-23T21:48:40.000Z",
            "2023-03-23T21:48:40+00:00",
            "2023-03-23T23:18:40+01:30",
            "2023-03-23T23:18:40+0130",
            "2023-03-23T14:48:40-07:00",
            "2023-03-24T11:48:40+14:00",
            "2023-03-23 21:48:40",
            "2023-03-23T21:48:40,0",
        ],
    )
    def test_other_forms(self, text: str) -> None:
        assert str(parse_timestamp(text)) == "2023-03-23T21:48:40Z"

    def test_seconds_may_be_missing(self) -> None:
        assert str(parse_timestamp("2023-03-23T21:48")) == "2023-03-23T21:48:00Z"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "2023-03-23",
            "21:48:40",
            "2023-13-23T21:48:40",
            "2023-02-30T21:48:40",
            "2023-03-23T24:48:40",
            "2023-03-23T21:48:61",
            "2023-03-23T21:48:40.",
            "2023-03-23T21:48:40.1234567890",
            "2023-03-23T21:48:40 UTC",
            "2023-03-23T21:48:40+25:00",
            "0000-01-01T00:00:00",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            " 2023-03-23T21:48:40",
            "2023-03-23T21:48:40\n",
            "\u0662023-03-23T21:48:40",
            "2023-03-23T21:48:40Z::error::x",
        ],
    )
    def test_nonsense_is_unknown(self, text: str) -> None:
        assert parse_timestamp(text) is None

    @given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-1439, 1439))
    def test_every_moment_is_read_back_in_every_zone(self, moment: datetime, minutes: int) -> None:
        there = moment + timedelta(minutes=minutes)
        sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
        found = parse_timestamp(f"{there.isoformat()}{sign}{hours:02}:{rest:02}")
        assert found
        assert found.moment == moment.replace(tzinfo=UTC)


class TestDuration:
    """Whole seconds from the start, or else the creation, to the end."""

    def duration(self, **fields: str) -> int | None:
        return parse_job({"id": "1", "status": "COMPLETE", **fields}).duration

    def test_from_the_start(self) -> None:
        created, start, end = "2023-03-23T21:48:00", "2023-03-23T21:48:40.9", "2023-03-23T21:49:23.0"
        assert self.duration(created=created, startTime=start, endTime=end) == 42

    def test_from_the_creation_if_there_was_no_start(self) -> None:
        assert self.duration(created="2023-03-23T21:48:00", endTime="2023-03-23T21:49:00") == 60

    def test_over_midnight_and_more(self) -> None:
        assert self.duration(startTime="2023-12-31T23:59:59", endTime="2024-01-02T00:00:00") == 86401

    def test_unknown_without_an_end(self) -> None:
        assert self.duration(created="2023-03-23T21:48:00") is None

    def test_unknown_without_a_beginning(self) -> None:
        assert self.duration(endTime="2023-03-23T21:48:00") is None

    def test_unknown_if_it_ended_before_it_began(self) -> None:
        assert self.duration(startTime="2023-03-23T21:48:01", endTime="2023-03-23T21:48:00") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = [
    "id",
    "status",
    "type",
    "created",
    "startTime",
    "endTime",
    "exitCode",
    "commitId",
    "attempt",
    "message",
    "_links",
]


@given(st.dictionaries(st.sampled_from(fields) | st.text(), json_values))
def test_anything_is_a_job_or_invalid(value: dict[str, object]) -> None:
    job: Any = QUEUED | value
    try:
        found = parse_job(job)
    except InvalidResponse:
        return
    assert found.id == job["id"]
    assert found.status in (job["status"], job["status"].upper())
    assert all(isinstance(href, str) for href in found.links.values())
