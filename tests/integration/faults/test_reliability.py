"""RELIABILITY.md promises what the suite holds the program to."""

from tests.integration.faults.reliability import FILE, written


def test_tables_are_those_of_the_suite() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert text == written(text), "write them anew: python -m tests.integration.faults.reliability"
    assert "| trigger, trigger by webhook, run of a pipeline | answer lost, nonsense |" in text
