"""The line of a failed job's log that a person would pick, in logs as the tools that jobs run write them."""

import json
import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.reason import LONGEST_REASON, reason


class Log(NamedTuple):
    """The end of a log, and what a person would pick of it."""

    text: str
    picked: str


MELTANO = "2024-05-01T10:00:0{}.232998Z [{:<9}] {}"
PLUGIN = " cmd_type=elb consumer=False job_name=prod:tap-x-to-target-y name=tap-x producer=True run_id=1 stdio=stderr"


def meltano(level: str, text: str, *, plugin: bool = False) -> str:
    """A line of Meltano's console: its own, or one that wraps what a plugin printed."""
    return MELTANO.format(3, level, text + (PLUGIN if plugin else ""))


def plugin(*lines: str) -> str:
    return "\n".join(meltano("info", line, plugin=True) for line in lines)


LOGS = {
    "pip: no such version": Log(
        "Collecting tap-orders==9.9\n"
        "ERROR: Could not find a version that satisfies the requirement tap-orders==9.9 (from versions: 0.1, 0.2)\n"
        "ERROR: No matching distribution found for tap-orders==9.9\n",
        "ERROR: Could not find a version that satisfies the requirement tap-orders==9.9 (from versions: 0.1, 0.2)",
    ),
    "pip: a build that fails": Log(
        "  Preparing metadata (setup.py): finished with status 'error'\n"
        "  error: subprocess-exited-with-error\n"
        "  * python setup.py egg_info did not run successfully.\n",
        "error: subprocess-exited-with-error",
    ),
    "Meltano: its own error": Log(
        meltano("info", "Running extract & load...")
        + "\n"
        + meltano("error", "Cannot start plugin tap-x: Catalog discovery failed")
        + "\n"
        + meltano("error", "Block run completed.           block_type=ExtractLoadBlocks err=RunnerError('failed')"),
        meltano("error", "Cannot start plugin tap-x: Catalog discovery failed"),
    ),
    "Meltano: only what sums up": Log(
        meltano("info", "Environment 'prod' is active")
        + "\n"
        + meltano("error", "Block run completed.           block_type=ExtractLoadBlocks err=RunnerError('failed')")
        + "\nNeed help fixing this problem? Ask.\n",
        meltano("error", "Block run completed.           block_type=ExtractLoadBlocks err=RunnerError('failed')"),
    ),
    "Meltano: a tap's CRITICAL": Log(
        plugin(
            "INFO Starting sync of orders", "CRITICAL 401 Client Error: Unauthorized for url: https://api.example.com/"
        )
        + "\n"
        + meltano("error", "Extractor failed"),
        "CRITICAL 401 Client Error: Unauthorized for url: https://api.example.com/",
    ),
    "Meltano: a tap's traceback": Log(
        plugin(
            "Config validation passed with 0 errors and 0 warnings.",
            "Traceback (most recent call last):",
            '  File "/venv/bin/tap-x", line 8, in <module>',
            "    sys.exit(main())",
            "KeyError: 'orders'",
        )
        + "\n"
        + meltano("error", "Extractor failed"),
        "KeyError: 'orders'",
    ),
    "Meltano: a traceback with frames drawn": Log(
        "╭───────────── Traceback (most recent call last) ─────────────╮\n"
        "│ /venv/lib/meltano/cli/run.py:71 in run                      │\n"
        "│ ❱ 71 │   raise CliError(message)                            │\n"
        "╰─────────────────────────────────────────────────────────────╯\n"
        "CliError: Run invocation could not be completed\n",
        "CliError: Run invocation could not be completed",
    ),
    "Meltano: JSON lines": Log(
        json.dumps({"event": "Environment is active", "level": "info", "timestamp": "2024-05-01T10:00:00Z"})
        + "\n"
        + json.dumps({"event": "Loader failed", "level": "error", "timestamp": "2024-05-01T10:00:01Z"}),
        "Loader failed",
    ),
    "Meltano: JSON with an exception": Log(
        json.dumps(
            {
                "event": "Loading failed",
                "level": "error",
                "exception": 'Traceback (most recent call last):\n  File "x.py", line 1, in y\nOSError: disk full',
            }
        ),
        "Loading failed: OSError: disk full",
    ),
    "Singer: label and level": Log(
        "target-postgres | INFO Creating table\ntap-x | CRITICAL missing field 'id'\ntap-x | INFO done\n",
        "tap-x | CRITICAL missing field 'id'",
    ),
    "Singer: logfmt": Log(
        "time=2024-05-01 10:00:00 name=target_snowflake level=INFO message=Table exists\n"
        "time=2024-05-01 10:00:01 name=target_snowflake level=CRITICAL message=JWT token is invalid\n"
        "time=2024-05-01 10:00:02 name=target_snowflake level=INFO message=Closing\n",
        "time=2024-05-01 10:00:01 name=target_snowflake level=CRITICAL message=JWT token is invalid",
    ),
    "dbt: a model": Log(
        "10:00:01  1 of 2 START sql table model shop.orders ................. [RUN]\n"
        "10:00:01  1 of 2 ERROR creating sql table model shop.orders ........ [ERROR in 0.19s]\n"
        "10:00:01  2 of 2 SKIP relation shop.revenue ........................ [SKIP]\n"
        "10:00:01  \n10:00:01  Completed with 1 error and 0 warnings:\n10:00:01  \n"
        "10:00:01    Database Error in model orders (models/orders.sql)\n"
        '  relation "raw.orders" does not exist\n  LINE 2: select * from raw.orders\n'
        "10:00:01  \n10:00:01  Done. PASS=0 WARN=0 ERROR=1 SKIP=1 TOTAL=2\n",
        '10:00:01    Database Error in model orders (models/orders.sql): relation "raw.orders" does not exist',
    ),
    "dbt: an old version": Log(
        "10:00:01 | 1 of 1 ERROR creating view model shop.broken..... [ERROR in 0.19s]\n"
        "10:00:01 |\n10:00:01 | Finished running 1 view model in 0.45s.\n\nCompleted with 1 error:\n\n"
        'Database Error in model broken (models/broken.sql)\n  syntax error at or near "1"\n\n'
        "Done. PASS=0 ERROR=1 SKIP=0 TOTAL=1\n",
        'Database Error in model broken (models/broken.sql): syntax error at or near "1"',
    ),
    "dbt: no title": Log(
        "10:00:01  1 of 1 ERROR creating sql view model dbo.a ........ [ERROR in 0.10s]\n"
        "10:00:01  Completed with 1 error and 0 warnings:\n10:00:01  \n"
        "10:00:01  ('42000', '[42000] Incorrect syntax near as. (156)')\n10:00:01  \n"
        "10:00:01  Done. PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1\n",
        "10:00:01  Completed with 1 error and 0 warnings: ('42000', '[42000] Incorrect syntax near as. (156)')",
    ),
    "dbt: a profile": Log(
        "10:00:00  Running with dbt=1.8.0\n10:00:00  Encountered an error:\nRuntime Error\n"
        "  Could not find profile named 'shop'\n",
        "10:00:00  Encountered an error: Runtime Error: Could not find profile named 'shop'",
    ),
    "dbt: a test": Log(
        "10:00:01  1 of 1 FAIL 3 not_null_orders_id ......... [FAIL 3 in 0.05s]\n"
        "10:00:01  Failure in test not_null_orders_id (models/schema.yml)\n"
        "10:00:01    Got 3 results, configured to fail if != 0\n",
        "10:00:01  Failure in test not_null_orders_id (models/schema.yml): Got 3 results, configured to fail if != 0",
    ),
    "dbt: JSON lines": Log(
        json.dumps({"info": {"level": "info", "msg": "Running with dbt=1.8.0"}, "data": {}})
        + "\n"
        + json.dumps({"info": {"level": "error", "msg": "  Database Error in model a (a.sql)\n  no column b"}}),
        "Database Error in model a (a.sql)   no column b",
    ),
    "Java: an uncaught exception": Log(
        'Exception in thread "main" java.lang.IllegalStateException: no context\n'
        "\tat com.example.Main.run(Main.java:12)\n\tat com.example.Main.main(Main.java:5)\n"
        "Caused by: java.lang.RuntimeException: cannot connect\n\tat com.example.Db.open(Db.java:7)\n\t... 2 more\n"
        "Caused by: java.net.ConnectException: Connection refused\n\tat com.example.Net.dial(N.java)\n\t... 4 more\n",
        'Exception in thread "main" java.lang.IllegalStateException: no context: '
        "Caused by: java.net.ConnectException: Connection refused",
    ),
    "Java: an exception without a cause": Log(
        "2024-05-01 10:00:01 ERROR Job - failed\njava.lang.IllegalStateException: no context\n\tat a.A.b(A.java)\n",
        "2024-05-01 10:00:01 ERROR Job - failed: java.lang.IllegalStateException: no context",
    ),
    "Python: an exception that is told twice": Log(
        'ERROR ValueError: no id\nTraceback (most recent call last):\n  File "a.py", line 1\nValueError: no id\n',
        "ERROR ValueError: no id",
    ),
    "JSON: an exception that is told twice": Log(
        json.dumps({"level": "error", "msg": "OSError: disk full", "exception": "Traceback\nOSError: disk full"}),
        "OSError: disk full",
    ),
    "Java: Spring": Log(
        "2024-05-01 10:00:00.123  INFO 1 --- [main] c.e.Application : Starting\n"
        "2024-05-01 10:00:01.123 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed\n\n"
        "org.example.BeanCreationException: Error creating bean with name 'repository'\n"
        "\tat org.example.Factory.create(Factory.java:1)\n"
        "Caused by: java.sql.SQLException: Access denied for user 'etl'\n\t... 20 common frames omitted\n",
        "2024-05-01 10:00:01.123 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed: "
        "Caused by: java.sql.SQLException: Access denied for user 'etl'",
    ),
    "Python: chained exceptions": Log(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'url'\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\nConfigError: url is missing\n',
        "ConfigError: url is missing",
    ),
    "Python: SQLAlchemy": Log(
        "Traceback (most recent call last):\n"
        '  File "load.py", line 9, in <module>\n    engine.connect()\n'
        'psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused\n'
        "\tIs the server running on that host?\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "load.py", line 11, in <module>\n'
        "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server failed\n"
        "(Background on this error at: https://sqlalche.me/e/20/e3q8)\n",
        "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server failed",
    ),
    "Python: a traceback whose beginning is cut": Log(
        "    return call()\nsnowflake.connector.errors.DatabaseError: 250001 (08001): Incorrect username or password\n"
        "make: *** [Makefile:4: load] Error 1\n",
        "snowflake.connector.errors.DatabaseError: 250001 (08001): Incorrect username or password",
    ),
    "BigQuery": Log(
        "google.api_core.exceptions.NotFound: 404 Not found: Table shop:raw.orders\n\nLocation: EU\nJob ID: 1\n",
        "google.api_core.exceptions.NotFound: 404 Not found: Table shop:raw.orders",
    ),
    "PostgreSQL": Log(
        'psql: connecting\nFATAL:  password authentication failed for user "etl"\nconnection closed\n',
        'FATAL:  password authentication failed for user "etl"',
    ),
    "Airflow": Log(
        "[2024-05-01, 10:00:00 UTC] {standard_task_runner.py:85} INFO - Job 7: Subtask load\n"
        "[2024-05-01, 10:00:01 UTC] {taskinstance.py:1824} ERROR - Task failed with exception\n"
        'Traceback (most recent call last):\n  File "x.py", line 1, in y\nAirflowException: Bash command failed\n',
        "[2024-05-01, 10:00:01 UTC] {taskinstance.py:1824} ERROR - Task failed with exception: "
        "AirflowException: Bash command failed",
    ),
    "Dagster, after a retry": Log(
        "2024-05-01 10:00:00 +0000 - dagster - ERROR - Backing off 2.49 seconds after 1 tries\n"
        '2024-05-01 10:00:09 +0000 - dagster - ERROR - etl - STEP_FAILURE - Execution of step "load" failed.\n',
        '2024-05-01 10:00:09 +0000 - dagster - ERROR - etl - STEP_FAILURE - Execution of step "load" failed.',
    ),
    "bash": Log(
        "+ meltano install\n/bin/bash: line 1: meltano: command not found\nthe command failed\n",
        "/bin/bash: line 1: meltano: command not found",
    ),
    "git": Log(
        "Cloning into 'orders'...\nfatal: could not read Username for 'https://example.com'\nretry later\n",
        "fatal: could not read Username for 'https://example.com'",
    ),
    "npm": Log(
        "npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://registry.example.com/nothing\n"
        "npm ERR! A complete log of this run can be found in: /root/.npm/_logs\n",
        "npm ERR! 404 Not Found - GET https://registry.example.com/nothing",
    ),
    "Kubernetes": Log(
        "Starting container\ncontainer main: terminated, reason: OOMKilled, exit code 137\npod deleted\n",
        "container main: terminated, reason: OOMKilled, exit code 137",
    ),
    "pino": Log('{"level":30,"msg":"start"}\n{"level":50,"msg":"no schema"}\n{"level":30,"msg":"end"}', "no schema"),
    "colours": Log("\x1b[32mINFO\x1b[0m ok\n\x1b[1;31mERROR\x1b[0m \x1b[1mno schema\x1b[0m\nbye\n", "ERROR no schema"),
    "a progress bar": Log("10 %\r50 %\rERROR disk full\r\nbye", "ERROR disk full"),
    "only words that look like errors": Log(
        "Config validation passed with 0 errors and 0 warnings.\nerror_rate=0 ERROR=0 on_error: continue\n"
        "INFO the sidecar was OOMKilled, and started again\nreads logs/ERROR first\n"
        "WARNING: 3 rows were skipped, see ERROR table\nINFO run with --fail-on-error\nINFO done, 0 ERROR\n"
        '{"level": "info", "message": "ERROR handling is on"}\n1 file, 0 ERROR\nJob was stopped\n\n',
        "Job was stopped",
    ),
    "nothing but text": Log("one\ntwo\n\n  \n", "two"),
    "JSON of data": Log('ready\n{"type": "RECORD", "record": {"id": 1}}\n', '{"type": "RECORD", "record": {"id": 1}}'),
}


@pytest.mark.parametrize("name", LOGS)
def test_the_reason_is_the_line_that_a_person_picks(name: str) -> None:
    log = LOGS[name]
    assert reason(log.text.encode()) == log.picked.strip()


@pytest.mark.parametrize("tail", [b"", b"\n", b" \r\n\t\n", b"\x1b[0m"])
def test_a_log_without_text_has_no_reason(tail: bytes) -> None:
    assert reason(tail) == ""


def test_only_the_last_200_lines_count() -> None:
    assert reason(b"ERROR old\n" + b"line\n" * 199) == "ERROR old"
    assert reason(b"ERROR old\n" + b"line\n" * 200) == "line"


def test_the_first_error_counts() -> None:
    assert reason(b"INFO a\nERROR b\nFATAL c\nCRITICAL d\n") == "ERROR b"


def test_a_long_line_is_cut() -> None:
    assert reason(b"ERROR " + b"x" * 1000) == "ERROR " + "x" * (LONGEST_REASON - 7) + "…"


def test_a_traceback_that_is_cut_at_its_end_gives_its_last_line() -> None:
    tail = b'one\nTraceback (most recent call last):\n  File "a.py", line 1, in f\n'
    assert reason(tail) == 'File "a.py", line 1, in f'


def test_no_command_stands_in_a_reason() -> None:
    assert reason(b"ERROR ##[error]no \xe2\x80\xaeschema\xff") == "ERROR ## [error]no schema\ufffd"


@given(
    st.binary() | st.lists(st.sampled_from([log.text for log in LOGS.values()])).map(lambda s: "\n".join(s).encode())
)
def test_the_reason_is_one_short_line_whatever_the_log_holds(tail: bytes) -> None:
    found = reason(tail)
    assert len(found) <= LONGEST_REASON
    assert found.isprintable() or "\ufffd" in found
    assert "\n" not in found


GROWING = {
    "one line": b"x",
    "blanks": b" ",
    "words": b"error ",
    "dots": b"a.",
    "JSON": b'{"a":',
    "JSON in JSON": b'{"exception": "',
    "escapes": b"\x1b[",
    "titles": b"\x1b]",
    "headings": b"Runtime Error\n",
    "tracebacks": b"Traceback (most recent call last):\n",
    "chains": b"Traceback (most recent call last):\nA: b\nDuring handling of the above exception, another\n",
    "frames": b"ERROR a\n\tat b\n",
    "fields": b"2024-05-01T10:00:00Z [info     ] a cmd_type=b ",
    "labels": b"tap-x | ",
    "line ends": b"\r",
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("before", [b"", b"2024-05-01T10:00:00Z [info     ] ", b"ERROR "], ids=["", "Meltano", "ERROR"])
def test_time_grows_with_the_log_alone(name: str, before: bytes) -> None:
    def spent(size: int) -> float:
        tail = before + GROWING[name] * (size // len(GROWING[name])) + b"x"
        begin = time.process_time()
        reason(tail)
        return time.process_time() - begin

    # A time that grew with the square would be 1,024 times as long.
    assert spent(1_048_576) < 256 * max(min(spent(32_768) for _ in range(3)), 0.0005)
