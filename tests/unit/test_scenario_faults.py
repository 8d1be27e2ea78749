"""Which requests a fault means, and how it is told."""

import pytest

from matatika_simulator.faults import Canned, Fault, Faults, Selection


def meant(selection: Selection, elapsed: float | None = None) -> list[int]:
    return [number for number in range(1, 11) if selection.matches(number, elapsed)]


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), list(range(1, 11))),
        (Selection(stop=2), [1, 2]),
        (Selection(numbers=frozenset({1, 3})), [1, 3]),
        (Selection(start=3, stop=5), [3, 4, 5]),
        (Selection(every=4), [4, 8]),
        (Selection(start=5, every=4), [8]),
    ],
)
def test_selection_by_number(selection: Selection, numbers: list[int]) -> None:
    assert meant(selection) == numbers


@pytest.mark.parametrize(("elapsed", "hit"), [(None, False), (1.9, False), (2, True), (7.9, True), (8, False)])
def test_selection_by_time(elapsed: float | None, hit: bool) -> None:
    assert bool(meant(Selection(during=(2, 8)), elapsed)) is hit


def test_each_call_is_counted_by_itself_and_the_first_fault_wins() -> None:
    first = Fault(frozenset({"job", "logs"}), Selection(numbers=frozenset({2})), hang=True)
    second = Fault(frozenset({"job"}), Selection(stop=2), drop="close")
    faults = Faults([first, second])
    assert [faults.choose("job", None) for _ in range(3)] == [second, first, None]
    assert [faults.choose("logs", None) for _ in range(3)] == [None, first, None]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"answer": Canned(502)}, "status 502"),
        ({"drop": "close", "after": True}, "drop after the effect"),
        ({"drop": "reset"}, "reset"),
        ({"hang": True, "delay": 1.5}, "delay 1.5 s, hang"),
        ({"expire_token": True}, "expire token"),
        ({"cut": 10}, "cut at 10"),
        ({"stall": 0}, "stall at 0"),
    ],
)
def test_description(fault: dict[str, object], words: str) -> None:
    assert Fault(frozenset({"job"}), **fault).describe() == words  # type: ignore[arg-type]
