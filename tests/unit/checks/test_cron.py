import pytest

from matatika_deploy.checks import cron
from matatika_deploy.findings import Level


@pytest.mark.parametrize(
    "schedule",
    [
        *("0 0 9-17 * * MON-FRI", "*/10 * * * * *", "0 0/5 8-10,17 ? JAN-MAR,dec L", "0 0 0 LW * *", "0 0 0 L-3W * *"),
        *("0 0 0 15W * ?", "0 0 0 ? * MON#1", "0 0 0 ? * 5L", "0 0 0 * * FRIL", "0 0 0 * * monl", "0 0 0 */100 * *"),
        *("0 0 0 1 1 0", "59 59 23 31 12 7", "  0\t0 9 *\n* 7 ", "-", " - ", "", " \n"),
    ],
)
def test_every_schedule_of_springs_cron_is_accepted(schedule: str) -> None:
    assert cron.judge(schedule) is None


ERRORS = [
    ("daily", "1 field; the platform's cron has 6, seconds first."),
    ("0 0 * *", "4 fields; the platform's cron has 6"),
    ("0 0 9 * * ? 2024", "7 fields; the platform's cron has 6, seconds first: did you mean '0 0 9 * * ?'"),
    ("0 0 9 , 17, 18 * * *", "did you mean '0 0 9,17,18 * * *'?"),
    ("every day at nine o", "'every' is no field"),
    ("0 0 9 * * Someday", "'Someday' is no field"),
    ("٣ 0 0 * * *", "is no field"),
    ("1," * 1_000_000 + " * * * *", "2,000,008 characters"),
]
# Some dialect may accept these.
WARNINGS = [
    ("@daily", "did you mean '0 0 0 * * *'?"),
    ("@Weekly", "did you mean '0 0 0 * * 0'?"),
    ("@every 5m", "macro '@every 5m', but six fields are documented."),
    ("0 9 * * MON-FRI", "documents 6, seconds first: did you mean '0 0 9 * * MON-FRI'?"),
    ("0 9 * * Monday", "three letters: did you mean '0 0 9 * * MON'?"),
    ("0 0 9 * January-may Monday", "three letters: did you mean '0 0 9 * JAN-MAY MON'?"),
    ("0 *5 * * * *", "minute in 'schedule' is '*5', which not every reader takes: did you mean '*/5'?"),
    ("0 1,*5,,9 * * * *", "'1,*5,,9', which not every reader takes."),
    *((f"0 {minute} * * * *", "minute in") for minute in ("5/", "1-2-3", "-5", "0,,5", "*-5", "5L", "MON")),
    *((f"0 0 MON * * {day}", "hour in 'schedule' is 'MON'") for day in ("*", "JAN")),
    ("0 0 0 * * JAN", "day of the week in 'schedule' is 'JAN'"),
    ("0 0\xa09 * * *", "a blank that not every reader takes for one: did you mean '0 0 9 * * *'?"),
    ("*5 9 * * *", "documents 6, seconds first."),
    ("0 0 25 * * *", "hour in 'schedule' is 25; it goes from 0 to 23"),
    ("0 9 24-26 * * *", "hour in 'schedule' is 24"),
    ("0 60/5 * * * *", "minute in 'schedule' is 60"),
    ("0 0 9 0 * *", "day of the month in 'schedule' is 0"),
]


@pytest.mark.parametrize(
    ("level", "schedule", "words"),
    [*((Level.ERROR, *row) for row in ERRORS), *((Level.WARNING, *row) for row in WARNINGS)],
    ids=lambda value: repr(value)[:40],
)
def test_a_schedule_is_an_error_only_if_no_dialect_accepts_it(level: Level, schedule: str, words: str) -> None:
    verdict = cron.judge(schedule)
    assert verdict is not None
    assert verdict[0] is level
    assert words in verdict[1]
    assert len(verdict[1]) < 200
