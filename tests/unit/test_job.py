"""A job is read from whatever the platform sends, as long as it has an id and a status."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.job import Job, JobStatus, Timestamp, parse_job, parse_timestamp
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
NO_TEXT: list[object] = [None, True, False, 0, 17, 1.5, "", [], ["x"], [None], {}, {"x": 1}]
NO_NUMBER: list[object] = [None, True, False, 1.5, "1", "", [], {}, float("nan"), 10**400]
WRONG = [*NO_TEXT, "text"]
IDS_THAT_LEAD_ELSEWHERE: list[object] = [
    *("a/b", "../x", ".", "..", "a b", "a?b", "a#b", "a%2Fb", "é", "a\n", "-a", "x" * 129)
]
END = "2023-03-23T21:49:23"


def test_job_is_read_right_after_the_trigger_and_at_its_end() -> None:
    expected = Job(ID, "QUEUED", "WORKSPACE_DEPLOY", parse_timestamp(QUEUED["created"]), attempt=0)
    links = {relation: link["href"] for relation, link in QUEUED["_links"].items()}
    assert parse_job(QUEUED) == expected._replace(links=links)
    assert parse_job({"id": "1", "status": "RUNNING"}) == Job(id="1", status="RUNNING")
    end = {"status": "ERROR", "exitCode": 137, "commitId": "1e81ff3", "attempt": 2, "message": "Out of memory"}
    job = parse_job(QUEUED | end | {"startTime": "2023-03-23T21:48:41", "endTime": f"{END}.999999999"})
    assert (job.status, job.exit_code, job.commit_id, job.duration) == ("ERROR", 137, "1e81ff3", 42)
    assert (job.attempt, job.message) == (2, "Out of memory")
    assert (str(job.started), str(job.ended)) == ("2023-03-23T21:48:41Z", "2023-03-23T21:49:23Z")


def test_field_of_a_wrong_type_is_unknown() -> None:
    wrong: dict[str, list[object]] = {
        **dict.fromkeys(("type", "commitId", "message"), NO_TEXT),
        **dict.fromkeys(("created", "startTime", "endTime", "_links"), WRONG),
        **dict.fromkeys(("exitCode", "attempt"), NO_NUMBER),
    }
    for name, values in wrong.items():
        without = {key: item for key, item in QUEUED.items() if key != name}
        assert [value for value in values if parse_job(without | {name: value}) != parse_job(without)] == []


def test_ids_that_lead_nowhere_else_and_whole_numbers_are_taken_as_they_are() -> None:
    for value in (ID.upper(), "17", "a.b_c~d", "x" * 128):
        assert parse_job(QUEUED | {"id": value}).id == value
    for code in (0, -1, 2**40):
        assert parse_job(QUEUED | {"exitCode": code}).exit_code == code


def test_what_is_no_job_is_invalid() -> None:
    for job, expected in (
        *((value, "a job") for value in WRONG if not isinstance(value, dict)),
        *((QUEUED | {"status": value}, "a status") for value in NO_TEXT),
        *((QUEUED | {"id": value}, "an id") for value in NO_TEXT + IDS_THAT_LEAD_ELSEWHERE),
    ):
        with pytest.raises(InvalidResponse, match=expected):
            parse_job(job)


def test_known_status_decides_alone_in_any_case_of_letters() -> None:
    known = {"COMPLETE": True, "ERROR": True, "STOPPED": True, "QUEUED": False, "RUNNING": False}
    assert known.keys() == set(JobStatus)
    for status, is_over in known.items():
        for spelled, end in ((status, END), (status.lower(), None), (status.title(), END)):
            job = parse_job({"id": "1", "status": spelled, "endTime": end})
            assert (job.status, job.is_over) == (status, is_over)


@pytest.mark.parametrize("status", ["PAUSED", "COMPLETED", "ERROR ", "\u0131"])
def test_unknown_status_ends_a_job_that_has_an_end_and_cannot_be_withdrawn(status: str) -> None:
    ended = {"id": "1", "status": status, "endTime": END}
    assert parse_job(ended) == Job("1", status, ended=parse_timestamp(END))
    assert parse_job(ended).is_over
    for other in ({"_links": {"withdraw job": {"href": "/stopped"}}}, {"endTime": "soon"}, {"endTime": None}):
        assert not parse_job(ended | other).is_over


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # HAL: a relation is one link, or a list of them, of which the first counts.
        ({"self": [{"href": "/a"}, {"href": "/b"}], "curies": [{"href": "/c"}]}, {"self": "/a", "curies": "/c"}),
        # A template is no link.
        ({"self": {"href": "/a{?x}", "templated": True}, "logs": {"href": "/l", "templated": False}}, {"logs": "/l"}),
        *(({"self": value, "logs": {"href": "/l"}}, {"logs": "/l"}) for value in WRONG),
        *(({"self": {"href": value}}, {}) for value in NO_TEXT if value != ""),
    ],
)
def test_links_are_read_and_what_is_no_link_is_left_out(value: object, expected: dict[str, str]) -> None:
    assert parse_job(QUEUED | {"_links": value}).links == expected


@pytest.mark.parametrize("fraction", ["", ".8", ".81654", ".816543", ".816543219"])
def test_timestamp_has_any_precision(fraction: str) -> None:
    found = parse_timestamp(f"2023-03-23T21:48:40{fraction}")
    # The last digit that counts is the sixth.
    moment = datetime(2023, 3, 23, 21, 48, 40, int(fraction[1:7].ljust(6, "0")), tzinfo=UTC)
    assert found == Timestamp(moment, 10.0 ** -len(fraction[1:7]))
    assert str(found) == "2023-03-23T21:48:40Z"


def test_timestamp_has_other_forms_and_nonsense_is_unknown() -> None:
    other_forms = [
        *("2023-03-23T21:48:00Z", "2023-03-23T21:48:00.000Z", "2023-03-23 21:48:00", "2023-03-23T21:48:00,0"),
        *("2023-03-23T23:18:00+01:30", "2023-03-23T23:18:00+0130", "2023-03-23T14:48:00-07:00", "2023-03-23T21:48"),
    ]
    assert {str(parse_timestamp(text)) for text in other_forms} == {"2023-03-23T21:48:00Z"}
    nonsense = [
        *("", "now", "2023-03-23", "21:48:40", "2023-02-30T21:48:40", "2023-03-23T21:48:40."),
        *("2023-03-23T21:48:40+25:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("2023-03-23T21:48:40\n", "\u0662023-03-23T21:48:40", "2023-03-23T21:48:40Z::error::x"),
    ]
    assert [text for text in nonsense if parse_timestamp(text)] == []


def test_duration_is_known_from_beginning_to_end() -> None:
    for created, start, end, duration in (
        # From the start, or else the creation, in whole seconds.
        ("2023-03-23T21:48:00", "2023-03-23T21:48:40.9", "2023-03-23T21:49:23.0", 42),
        ("2023-12-31T23:59:59", None, "2024-01-02T00:00:00", 86401),
        (None, "2023-03-23T21:48:00", "2023-03-23T21:48:00", 0),
        # Unknown without an end or a beginning, and if it ended before it began.
        ("2023-03-23T21:48:00", None, None, None),
        (None, None, "2023-03-23T21:48:00", None),
        (None, "2023-03-23T21:48:01", "2023-03-23T21:48:00", None),
    ):
        job = {"id": "1", "status": "COMPLETE", "created": created, "startTime": start, "endTime": end}
        assert parse_job(job).duration == duration


FIELDS = [*QUEUED, "startTime", "endTime", "exitCode", "commitId", "message"]


@given(st.dictionaries(st.sampled_from(FIELDS), st.text() | st.sampled_from(WRONG)))
def test_anything_is_a_job_or_invalid(value: dict[str, object]) -> None:
    job: Any = QUEUED | value
    try:
        found = parse_job(job)
    except InvalidResponse:
        return
    assert found.id == job["id"]
    assert found.status in (job["status"], job["status"].upper())
    assert all(isinstance(href, str) for href in found.links.values())
