"""The line of a failed job's log that a person would pick, in logs as the tools that jobs run write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.reason import LONGEST_REASON, reason

ERRORS = [
    "  error: command 'gcc' failed with exit code 1",
    "src/a.c:1:10: fatal error: gmp.h: No such file or directory",
    "tap-x | fatal: could not read Username for 'https://example.com'",
    'FATAL  password authentication failed for user "etl"',
    "2024-05-01T10:00:03.232998Z [error    ] Cannot start plugin tap-x: Catalog discovery failed",
    "time=2024-05-01 10:00:01 name=target_snowflake level=CRITICAL message=JWT token is invalid",
    "google.api_core.exceptions.NotFound: 404 Not found: Table shop:raw.orders",
    "/bin/bash: line 1: meltano: command not found",
    "./run.sh: 3: meltano: not found",
    "./run.sh: line 1: ./a.sh: Permission denied",
    "./run.sh: line 12: ACCOUNT: unbound variable",
    "./run.sh: line 40: syntax error near unexpected token `fi'",
    "panic: runtime error: index out of range [3] with length 3",
    "Plugin 'superset' is not known to Meltano",
    "npm ERR! 404 Not Found - GET https://registry.example.com/nothing",
    "container main: terminated, reason: OOMKilled, exit code 137",
]
# They count errors, or report one that is tried again.
VAGUE = [
    "Error: Process completed with exit code 126.",
    "2024-05-01T10:00:03.232998Z [error    ] Block run completed.           err=RunnerError('failed')",
    "10:00:01  1 of 2 ERROR creating sql table model shop.orders ........ [ERROR in 0.19s]",
    "Completed with 1 error",
    "npm ERR! code E404",
    "error: subprocess-exited-with-error",
    "error: metadata-generation-failed",
    "ERROR: pip's dependency resolver does not currently take into account all the packages that are installed.",
    "2024-05-01T10:00:03.232998Z [error    ] Extractor failed",
    "Installation failed. Command failed.",
    "2024-05-01 10:00:00 +0000 - dagster - ERROR - Backing off 2.49 seconds after 1 tries",
]
TRACEBACK = "Traceback (most recent call last):\\n  File x\\nOSError: disk full"
STRUCTURED_LINES = {
    f'{{"event": "Failed", "level": "error", "exception": "{TRACEBACK}"}}': "Failed: OSError: disk full",
    f'{{"level": "error", "msg": "OSError: disk full", "exception": "{TRACEBACK}"}}': "OSError: disk full",
    '{"info": {"level": "error", "msg": "  Database Error in model a\\n  no b"}}': "Database Error in model a   no b",
    '{"level": 50, "msg": "no schema"}': "no schema",
    '{"cmd_type": "elb", "name": "tap-x", "event": "CRITICAL 401", "level": "info"}': "CRITICAL 401",
    "timestamp='1' level='info' event='CRITICAL \\'no\\' \"id\"' logger=None cmd_type='elb'": "CRITICAL 'no' \"id\"",
    "timestamp='1' level='error' event='Block not found' logger=None _name='error'": "Block not found",
}
# Each log, with what a person would pick of it: the lines after `> `, or else the text after `= `.
LOGS = """
=== pip: a package that cannot be built
  error: subprocess-exited-with-error
      Traceback (most recent call last):
        File "<string>", line 2, in <module>
>       ModuleNotFoundError: No module named 'setuptools'
error: metadata-generation-failed
=== Meltano: a tap's traceback
2024-05-01T10:00:03.232998Z [info     ] Traceback (most recent call last): cmd_type=elb name=tap-x stdio=stderr
2024-05-01T10:00:03.232998Z [info     ]   File "/venv/bin/tap-x", line 8, in <module> cmd_type=elb name=tap-x
2024-05-01T10:00:03.232998Z [info     ] KeyError: 'orders' cmd_type=elb name=tap-x stdio=stderr
2024-05-01T10:00:03.232998Z [error    ] Extractor failed
= KeyError: 'orders'
=== Meltano 4: a tap's CRITICAL
2026-05-01T10:00:02.707543Z [info     ] meltano      CRITICAL is a level
2026-05-01T10:00:03.155776Z [info     ] tap-exacttarget CRITICAL 401 Client Error: Unauthorized
2026-05-01T10:00:03.168067Z [error    ] meltano      Extractor failed
= CRITICAL 401 Client Error: Unauthorized
=== Meltano 4: a target's traceback, whose exception goes on in the next line
2026-05-01T10:00:10.047969Z [info     ] target-sf    Traceback (most recent call last):
2026-05-01T10:00:10.048271Z [info     ] target-sf      File "/venv/bin/target-snowflake", line 8, in <module>
2026-05-01T10:00:10.048772Z [info     ] target-sf    x.errors.ProgrammingError: 002043: SQL compilation error:
2026-05-01T10:00:10.048970Z [info     ] target-sf    Object does not exist
2026-05-01T10:00:10.056829Z [error    ] meltano      Loader failed
= x.errors.ProgrammingError: 002043: SQL compilation error: Object does not exist
=== Meltano 4: the name behind the text
2026-05-01T10:00:11.016059Z [error    ] Cannot sync 'orders'           name=tap-sdk
2026-05-01T10:00:11.016059Z [info     ] meltano      Run completed
= Cannot sync 'orders'
=== Meltano: a box around what uv or pip says
╭──────────── Installation error ─────────────╮
│ Using Python 3.11.7                         │
│ error: No solution found when resolving     │
│ dependencies                                │
│   cause: there is no tap-x==9               │
╰────────────── Command failed ───────────────╯
= error: No solution found when resolving dependencies: cause: there is no tap-x==9
=== Meltano: a traceback with frames drawn
╭───────────── Traceback (most recent call last) ─────────────╮
│ ❱ 71 │   raise CliError(message)                            │
╰─────────────────────────────────────────────────────────────╯
> CliError: Run invocation could not be completed
=== dbt: a model
10:00:01  1 of 2 ERROR creating sql table model shop.orders ........ [ERROR in 0.19s]
10:00:01  Completed with 1 error and 0 warnings:
10:00:01 \x20
> 10:00:01    Database Error in model orders (models/orders.sql)
>   relation "raw.orders" does not exist
  LINE 2: select * from raw.orders
=== dbt: an old version
10:00:01 | 1 of 1 ERROR creating view model shop.broken..... [ERROR in 0.19s]
10:00:01 |
Completed with 1 error:

> Database Error in model broken (models/broken.sql)
>   syntax error at or near "1"
=== dbt: no title
10:00:01  1 of 1 ERROR creating sql view model dbo.a ........ [ERROR in 0.10s]
> 10:00:01  Completed with 1 error and 0 warnings:
10:00:01 \x20
10:00:01  ('42000', '[42000] Incorrect syntax near as. (156)')
= 10:00:01  Completed with 1 error and 0 warnings: ('42000', '[42000] Incorrect syntax near as. (156)')
=== dbt: a database
> 10:00:00  Encountered an error:
> Runtime Error
>   Database error while listing schemas in database "NOPE"
>   Database Error
>     Object does not exist
=== dbt: a test
10:00:01  1 of 1 FAIL 3 not_null_orders_id ......... [FAIL 3 in 0.05s]
> 10:00:01  Failure in test not_null_orders_id (models/schema.yml)
>   Got 3 results, configured to fail if != 0
=== Java: an uncaught exception
> Exception in thread "main" java.lang.IllegalStateException: no context
\tat com.example.Main.run(Main.java:12)
Caused by: java.lang.RuntimeException: cannot connect
\tat com.example.Db.open(Db.java:7)
\t... 2 more
> Caused by: java.net.ConnectException: Connection refused
\tat com.example.Net.dial(N.java)
=== Java: an exception without a cause
> 2024-05-01 10:00:01 ERROR Job - failed
> java.lang.IllegalStateException: no context
\tat a.A.b(A.java)
=== Java: Spring
> 2024-05-01 10:00:01.123 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed

org.example.BeanCreationException: Error creating bean with name 'repository'
\tat org.example.Factory.create(Factory.java:1)
> Caused by: java.sql.SQLException: Access denied for user 'etl'
\t... 20 common frames omitted
=== Java: Spring's page
> 2024-05-01 10:00:01.123 ERROR 1 --- [main] LoggingFailureAnalysisReporter:

***************************
> APPLICATION FAILED TO START
> Description:
> Port 8080 was already in use.
=== Python: an exception that is told twice
> ERROR ValueError: no id
Traceback (most recent call last):
  File "a.py", line 1
ValueError: no id
=== Python: chained exceptions
 Traceback (most recent call last):
  File "a.py", line 1, in f
KeyError: 'url'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
> ConfigError: url is missing
=== Python: SQLAlchemy
Traceback (most recent call last):
psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused
\tIs the server running on that host?

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
> sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server failed
(Background on this error at: https://sqlalche.me/e/20/e3q8)
=== Python: a traceback whose end is cut
Traceback (most recent call last):
>   File "a.py", line 1, in f
=== Python: no indentation
> time=2024-10-17 level=ERROR message=Failed
Traceback (most recent call last):
File "a.py", line 1, in f
g()
File "<string>", line 2, in g
> ValueError: Invalid isoformat string: 'Updating'
=== Airflow: a prefix before each line
[2024-05-01, 10:00:01 UTC] {t.py:24} ERROR - Task failed
[2024-05-01, 10:00:01 UTC] {t.py:24} ERROR - Traceback (most recent call last):
[2024-05-01, 10:00:01 UTC] {t.py:24} ERROR -   File "x.py", line 1, in y
[2024-05-01, 10:00:01 UTC] {t.py:24} ERROR - x.ValidationError: 3 validation errors for Order
[2024-05-01, 10:00:01 UTC] {t.py:24} ERROR - orders
= [2024-05-01, 10:00:01 UTC] {t.py:24} ERROR - Task failed: x.ValidationError: 3 validation errors for Order: orders
=== Dagster
> 2024-05-01 10:00:01 +0000 - dagster - ERROR - a_job - STEP_FAILURE - Execution of step "a" failed

> RuntimeError: generator raised StopIteration
=== colours and a command
\x1b[32mINFO\x1b[0m ok
\x1b[1;31mERROR\x1b[0m \x1b[1m##[error]no \u202eschema\x1b[0m
= ERROR ## [error]no schema
=== a progress bar
10 %\r50 %\rERROR disk full\r
bye
= ERROR disk full
=== only words that look like errors
Config validation passed with 0 errors and 0 warnings.
error_rate=0 ERROR=0 on_error: continue
INFO the sidecar was OOMKilled, and started again
reads logs/ERROR first
WARNING: 3 rows were skipped, see ERROR table
INFO run with --fail-on-error
{"level": "info", "message": "ERROR handling is on"}
1 file, 0 ERROR
timestamp='1' level='info' event='ERROR is a level' logger=None
> Job was stopped

"""


def read(example: str) -> tuple[str, str]:
    """The log of an example, and what a person would pick of it."""
    lines = example.split("\n")[1:]
    told = [line[2:] for line in lines if line.startswith("= ")]
    picked = [line[2:].strip().removesuffix(":") for line in lines if line.startswith("> ")]
    log = "\n".join(line.removeprefix("> ") for line in lines if not line.startswith("= "))
    return log, ": ".join(told or picked)


EXAMPLES = {example.partition("\n")[0]: read(example) for example in LOGS.split("\n=== ")[1:]}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_reason_is_the_line_that_a_person_picks(name: str) -> None:
    log, picked = EXAMPLES[name]
    assert reason(log.encode()) == picked


@pytest.mark.parametrize("line", ERRORS)
def test_a_line_that_states_an_error_is_the_reason(line: str) -> None:
    assert reason(f"begin\n{line}\nERROR a later one\n".encode()) == line.strip()


@pytest.mark.parametrize("line", VAGUE)
def test_a_line_that_sums_up_is_the_reason_if_there_is_no_better_one(line: str) -> None:
    assert reason(f"begin\n{line}\n{VAGUE[0]}\n{VAGUE[1]}\nend\n".encode()) == line
    assert reason(f"begin\n{line}\nERROR no schema\n".encode()) == "ERROR no schema"


@pytest.mark.parametrize("line", STRUCTURED_LINES)
def test_a_line_of_structured_log_is_read(line: str) -> None:
    log = f'{{"level": 30, "msg": "start"}}\n{line}\n{{"info": {{"level": "info", "msg": "end"}}}}\n'
    assert reason(log.encode()) == STRUCTURED_LINES[line]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        # The last line, if none states an error.
        (b"one\ntwo\n\nmake: *** [Makefile:14: run] Error 1\nexit status 2\n  \n", "two"),
        (b'ready\n{"type": "RECORD", "record": {"id": 1}}', '{"type": "RECORD", "record": {"id": 1}}'),
        *((empty, "") for empty in (b"", b" \r\n\t\n", b"\x1b[0m")),
        # Only the last 200 lines count.
        (b"ERROR old\n" + b"line\n" * 199, "ERROR old"),
        (b"ERROR old\n" + b"line\n" * 200, "line"),
        (b"ERROR " + b"x" * 1000, "ERROR " + "x" * (LONGEST_REASON - 7) + "…"),
        (b"ERROR x:\n" + b"y" * 1000, "ERROR x: " + "y" * (LONGEST_REASON - 10) + "…"),
        (b"ERROR " + b"x" * 1000 + b":\nno schema", "ERROR " + "x" * (LONGEST_REASON - 18) + "…: no schema"),
    ],
    ids=range(10),
)
def test_the_reason_is_looked_for_at_the_end_and_is_cut(tail: bytes, expected: str) -> None:
    assert reason(tail) == expected


@given(
    st.binary()
    | st.lists(st.sampled_from([log for log, _ in EXAMPLES.values()])).map(lambda logs: "\n".join(logs).encode())
)
def test_the_reason_is_one_short_line_whatever_the_log_holds(tail: bytes) -> None:
    found = reason(tail)
    assert len(found) <= LONGEST_REASON
    assert found.isprintable() or "\ufffd" in found
    assert "\n" not in found
