import pytest

from matatika_deploy.checks import cron
from matatika_deploy.findings import Level


@pytest.mark.parametrize(
    "schedule",
    [
        "0 0 9-17 * * MON-FRI",
        "0 0 0 * * 0",
        "*/10 * * * * *",
        "0 0/5 8-10,17 ? JAN-MAR,dec L",
        "0 0 0 LW * *",
        "0 0 0 L-3 * *",
        "0 0 0 15W * ?",
        "0 0 0 ? * MON#1",
        "0 0 0 ? * 5L",
        "0 0 0 * * FRIL",
        "0 0 0 * * monl",
        "0 0 0 ? * MON#2",
        "0 0 0 L-3W * *",
        "-",
        " - ",
        "  0\t0 9 *\n* 7 ",
        "59 59 23 31 12 7",
        "0 0 0 */100 * *",
        "",
        " \n",
    ],
)
def test_every_schedule_of_springs_cron_is_accepted(schedule: str) -> None:
    assert cron.judge(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "fields", "suggestion"),
    [
        ("0 0 9 * * ? 2024", "7 fields", "0 0 9 * * ?"),
        ("0 0 9, 17 * * *", "7 fields", "0 0 9,17 * * *"),
        ("0 9 , 17 * * *", "7 fields", "0 0 9,17 * * *"),
        ("daily", "1 field;", None),
        ("every day at nine", "4 fields", None),
        ("5", "1 field;", None),
        ("0 0 * *", "4 fields", None),
    ],
)
def test_another_number_of_fields_is_an_error(schedule: str, fields: str, suggestion: str | None) -> None:
    verdict = cron.judge(schedule)
    assert verdict is not None
    level, message = verdict
    assert level is Level.ERROR
    assert fields in message
    assert ("did you mean" in message) is (suggestion is not None)
    assert suggestion is None or f"did you mean '{suggestion}'?" in message


@pytest.mark.parametrize(
    "schedule", ["every day at nine o clock", "every day at nine o", "0 0 9 * * Someday", "0 0 9 * * $1", "٣ 0 0 * * *"]
)
def test_six_words_that_are_no_fields_are_an_error(schedule: str) -> None:
    verdict = cron.judge(schedule)
    assert verdict is not None
    assert verdict[0] is Level.ERROR
    assert "is no field" in verdict[1]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("@daily", "did you mean '0 0 0 * * *'?"),
        ("@Weekly", "did you mean '0 0 0 * * 0'?"),
        ("@every 5m", "macro '@every 5m'"),
        ("0 9 * * MON-FRI", "5 fields; the platform documents 6, seconds first: did you mean '0 0 9 * * MON-FRI'?"),
        ("*/5 * * * *", "did you mean '0 */5 * * * *'?"),
        ("0 9 * * Monday", "did you mean '0 0 9 * * MON'?"),
        ("0 0 25 * * *", "hour in 'schedule' is 25"),
        ("0 9 24-26 * * *", "hour in 'schedule' is 24"),
        ("0 60/5 * * * *", "minute in 'schedule' is 60"),
        ("0 0 9 0 * *", "day of the month in 'schedule' is 0"),
        ("0 9 * * ? 2024", "day of the week in 'schedule' is 2024"),
        ("0 0 9 * January-may Monday", "did you mean '0 0 9 * JAN-MAY MON'?"),
    ],
)
def test_a_schedule_that_some_dialect_may_accept_is_a_warning(schedule: str, words: str) -> None:
    verdict = cron.judge(schedule)
    assert verdict is not None
    assert verdict[0] is Level.WARNING
    assert words in verdict[1]


def test_the_verdict_on_a_huge_text_is_short() -> None:
    verdict = cron.judge("1," * 1_000_000 + " * * * *")
    assert verdict is not None
    assert len(verdict[1]) < 200
