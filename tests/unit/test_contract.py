"""The README's table of exit codes says what the program really ends with; its other tables: `test_readme.py`."""

import signal
from collections import defaultdict

from matatika_deploy import outcome
from matatika_deploy.errors import BadInput, CheckFailed, PlatformError
from matatika_deploy.platform.job import Job
from tests.support.readme import README, table

ENDS = [
    *(outcome.ended(Job(id="1", status=status)) for status in ("COMPLETE", "ERROR", "STOPPED")),
    outcome.submitted(Job(id="1", status="QUEUED")),
    outcome.checked(),
    outcome.timed_out("Too long."),
    *(outcome.cancelled(signum, "Withdrawn.", may_run_on=False) for signum in (signal.SIGINT, signal.SIGTERM)),
    *(outcome.failed(error) for error in (BadInput(["x"]), PlatformError("No."), CheckFailed("No."))),
]


def test_each_exit_code_goes_with_its_outcomes() -> None:
    ended: dict[int, set[str]] = defaultdict(set)
    for end in ENDS:
        ended[end.exit_code].add(end.outcome)
    said = {
        int(code.strip("` ")): {name.strip("` ") for name in outcomes.split(",")}
        for codes, outcomes, _ in table(README, "When it fails")
        for code in codes.split(",")
    }
    assert said == ended
