"""Phrases that the findings share."""

from collections.abc import Iterable
from itertools import islice

_LONGEST = 60
_MAX_CANDIDATES = 1000


def short(text: str) -> str:
    """Make text from elsewhere fit for a sentence: printable, on one line, at most 60 characters."""
    words = "".join(character if character.isprintable() else " " for character in text[:200]).split()
    text = " ".join(words)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def did_you_mean(suggestion: str | None) -> str:
    """End a sentence with a suggestion, if there is one that is short and printable."""
    return f": did you mean '{suggestion}'?" if suggestion and short(suggestion) == suggestion else "."


def closest(text: str, candidates: Iterable[str]) -> str | None:
    """Give the candidate that differs from a text by a few typing mistakes only; None if there is none.

    Its time is bounded: long texts have no suggestion, and of the candidates only the first 1,000 are compared.
    """
    if len(text) > _LONGEST:
        return None
    most = 1 + min(len(text), 12) // 6
    near = [(_mistakes(text, it, most), it) for it in islice(candidates, _MAX_CANDIDATES) if len(it) <= _LONGEST]
    fewest = min(near, default=(most + 1, ""))
    return fewest[1] if fewest[0] <= most else None


def _mistakes(text: str, other: str, most: int) -> int:
    """Count the characters to insert, delete, replace or swap with the next; a number above `most` is not exact."""
    if abs(len(text) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(text):
        last, before, row = before, row, [i + 1]
        for j, candidate in enumerate(other):
            count = min(before[j] + (letter != candidate), before[j + 1] + 1, row[j] + 1)
            if i and j and letter == other[j - 1] and text[i - 1] == candidate:
                count = min(count, last[j - 1] + 1)
            row.append(count)
        if min(row) > most:
            return most + 1
    return row[-1]
