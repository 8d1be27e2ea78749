"""Turns of phrase that the findings share."""

_LONGEST = 60


def short(text: str) -> str:
    """Text from outside as it can stand in a sentence: printable, on one line, cut to a sane length."""
    words = "".join(character if character.isprintable() else " " for character in text[:200]).split()
    text = " ".join(words)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def did_you_mean(suggestion: str | None) -> str:
    """The end of a sentence: a suggestion, if there is one that is short enough to be of use."""
    return f": did you mean '{suggestion}'?" if suggestion and short(suggestion) == suggestion else "."
