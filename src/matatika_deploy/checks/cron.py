"""The platform's cron: six fields, seconds first, in Spring's dialect.

https://docs.spring.io/spring-framework/reference/integration/scheduling.html#scheduling-cron-expression
"""

import re

from matatika_deploy.checks.wording import did_you_mean, short
from matatika_deploy.findings import Level

_MONTHS = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE"),
    *("JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_IN_FULL = {name: name[:3] for name in (*_MONTHS, *_DAYS)}
# A month or day, the last such day of the month (`FRIL`), or last, weekday, calendar and hash of some dialect.
_WORD = re.compile(rf"(?:{'|'.join(_IN_FULL.values())})L?|LW?|W|C|H", re.IGNORECASE)
# Six fields that list every value are shorter.
_LONGEST = 1000
# What separates fields; other blanks separate them for some readers only.
_BLANK = " \t\n\r\f\v"


def _field(names: tuple[str, ...] = (), *, is_day: bool = False) -> str:
    """Give the pattern of a field: its values, ranges and steps, and for days also the last, a weekday, the nth."""
    value = f"(?:{'|'.join(['[0-9]+', *(name[:3] for name in names)])})"
    days = f"|L(?:-[0-9]+)?W?|[WC]|{value}(?:[LWC]|#[0-9]+)" if is_day else ""
    part = f"(?:(?:[*?H]|{value}(?:-{value})?)(?:/[0-9]+)?{days})"
    return f"{part}(?:,{part})*"


def _fits(pattern: str, field: str) -> bool:
    # Compiled with the first schedule: all is imported before the trigger.
    return re.fullmatch(pattern, field, re.IGNORECASE) is not None


_FIELDS = (
    ("second", 0, 59, _field()),
    ("minute", 0, 59, _field()),
    ("hour", 0, 23, _field()),
    ("day of the month", 1, 31, _field(is_day=True)),
    ("month", 1, 12, _field(_MONTHS)),
    ("day of the week", 0, 7, _field(_DAYS, is_day=True)),
)
_MACROS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}


def judge(schedule: str) -> tuple[Level, str] | None:
    """Give what is wrong with a schedule, and its level; None if nothing is.

    An error is only what no dialect accepts. Five fields, fields that only some readers take, numbers out of their
    range, full names of days and months, and macros such as `@daily` are warnings. `-` and blanks mean no schedule.
    """
    fields = schedule[: _LONGEST + 1].split()
    if not fields or fields == ["-"]:
        return None
    if len(schedule) > _LONGEST:
        return Level.ERROR, f"'schedule' is no cron: it has {len(schedule):,} characters."
    hint = did_you_mean(_suggestion(fields))
    if fields[0].startswith("@"):
        return Level.WARNING, f"'schedule' is the macro '{short(schedule)}', but six fields are documented{hint}"
    if len(fields) not in (5, 6):
        count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        return Level.ERROR, f"'schedule' has {count}; the platform's cron has 6, seconds first{hint}"
    if not all(_is_cron(field) for field in fields):
        return _judge_words(fields)
    if re.search(rf"[^\S{_BLANK}]", schedule):
        return (Level.WARNING, f"'schedule' has a blank that not every reader takes for one{hint}")
    if len(fields) == 5:
        return Level.WARNING, f"'schedule' has 5 fields; the platform documents 6, seconds first{hint}"
    for field, (name, lowest, highest, pattern) in zip(fields, _FIELDS, strict=True):
        if not _fits(pattern, field):
            step = re.sub(r"(?<![^,])\*(?=[0-9])", "*/", field)
            hint = did_you_mean(step if _fits(pattern, step) else None)
            return Level.WARNING, f"The {name} in 'schedule' is '{short(field)}', which not every reader takes{hint}"
        for number in _plain_numbers(field):
            if not lowest <= number <= highest:
                message = (
                    f"The {name} in 'schedule' is {number}; it goes from {lowest} to {highest} (seconds come first)."
                )
                return Level.WARNING, message
    return None


def _judge_words(fields: list[str]) -> tuple[Level, str]:
    """Judge five or six words of which at least one is no field."""
    abbreviated = [re.sub("[A-Za-z]+", lambda word: _IN_FULL.get(word[0].upper(), word[0]), field) for field in fields]
    for field in abbreviated:
        if not _is_cron(field):
            return Level.ERROR, f"'schedule' is not cron: '{short(field)}' is no field of it."
    return (
        Level.WARNING,
        f"'schedule' is cron, which names days and months by three letters{did_you_mean(_suggestion(abbreviated))}",
    )


def _is_cron(field: str) -> bool:
    words = re.findall("[A-Za-z]+", field)
    return re.fullmatch(r"[0-9A-Za-z*?/,#-]+", field) is not None and all(_WORD.fullmatch(word) for word in words)


def _plain_numbers(field: str) -> list[int]:
    """Give the numbers that are values or ends of a range, without steps (`/15`) and those of `L`, `W` and `#`."""
    ranges = (part.partition("/")[0] for part in field.split(","))
    return [int(number) for part in ranges if re.fullmatch(r"\d{1,9}(-\d{1,9})?", part) for number in part.split("-")]


def _suggestion(fields: list[str]) -> str | None:
    if fields[0].startswith("@"):
        return _MACROS.get(" ".join(fields).lower())
    fields = re.sub(" ?, ?", ",", " ".join(fields)).split()  # `9, 17` was meant to be one field
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) == 7:
        fields.pop()  # Quartz has the year at the end
    is_cron = len(fields) == 6 and all(_fits(it[3], field) for it, field in zip(_FIELDS, fields, strict=True))
    return " ".join(fields) if is_cron else None
