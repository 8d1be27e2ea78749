"""Strict reading of plain mappings: each value is asked for once, and what nobody asked for is a mistake."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_REQUIRED: Final = object()
_DURATION = re.compile(r"(-)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


class ScenarioError(ValueError):
    """A scenario that cannot be played. The message names the place and what was expected there."""


class Section:
    """One mapping of a scenario, at a place such as `job` or `faults[2]`."""

    def __init__(self, value: object, place: str) -> None:
        """Raise `ScenarioError` unless `value` is a mapping; None is an empty one."""
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise ScenarioError(f"{place}: expected a mapping, got {_shown(value)}")
        self._values = dict(value)
        self._asked: list[str] = []
        self.place = place

    def __contains__(self, key: str) -> bool:
        """Whether the key is there."""
        self._asked.append(key)
        return key in self._values

    def done(self) -> None:
        """Raise `ScenarioError` if there is a key that nobody asked for."""
        known = sorted(set(self._asked))
        for key in self._values:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
                raise ScenarioError(f"{self._at(key)}: unknown key; {hint}")

    def get(self, key: str, default: object = _REQUIRED) -> Any:
        """The value as it stands; raise `ScenarioError` if it is missing and there is no default."""
        self._asked.append(key)
        if key in self._values:
            return self._values[key]
        if default is _REQUIRED:
            raise ScenarioError(f"{self._at(key)}: missing")
        return default

    def section(self, key: str) -> "Section":
        """The mapping under a key; an empty one if there is none."""
        return Section(self.get(key, None), self._at(key))

    def sections(self, key: str) -> "list[Section]":
        """The list of mappings under a key."""
        return [Section(item, f"{self._at(key)}[{n}]") for n, item in enumerate(self.items(key), start=1)]

    def items(self, key: str) -> Sequence[Any]:
        """The list under a key; an empty one if there is none."""
        value = self.get(key, None)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise self.wrong(key, "a list")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The mapping under a key, whatever its keys are."""
        value = self.get(key, None)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a mapping")
        return {str(name): item for name, item in value.items()}

    def text(self, key: str, default: Any = _REQUIRED, *, null: bool = False) -> Any:
        """A string, or None if `null` allows it."""
        value = self.get(key, default)
        if value is not default and not isinstance(value, str) and not (null and value is None):
            raise self.wrong(key, "text")
        return value

    def flag(self, key: str) -> bool:
        """A boolean; false if it is not there."""
        value = self.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(
        self,
        key: str,
        default: Any = _REQUIRED,
        *,
        least: int | None = None,
        most: int | None = None,
        null: bool = False,
    ) -> Any:
        """A whole number, or None if `null` allows it."""
        value = self.get(key, default)
        if value is default or (null and value is None):
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "a whole number")
        if least is not None and value < least:
            raise self.wrong(key, f"at least {least}")
        if most is not None and value > most:
            raise self.wrong(key, f"at most {most}")
        return value

    def choice(self, key: str, choices: Sequence[Any], default: Any) -> Any:
        """One of several values."""
        value = self.get(key, default)
        if isinstance(value, bool) or value not in choices:
            raise self.wrong(key, "one of " + ", ".join(str(choice) for choice in choices))
        return value

    def duration(self, key: str, default: Any = _REQUIRED, *, signed: bool = False, endless: bool = False) -> Any:
        """Seconds, from a number or text such as `250ms`, `1.5s`, `1h30m`; `forever` if `endless`."""
        value = self.get(key, default)
        return value if value is default else self.as_duration(key, value, signed=signed, endless=endless)

    def as_duration(self, key: str, value: object, *, signed: bool = False, endless: bool = False) -> float:
        """The same, of a value that was taken from under `key` already."""
        seconds = math.inf if endless and value == "forever" else _seconds(value)
        if seconds is None or (seconds < 0 and not signed):
            examples = "a duration such as 250ms, 1.5s or 1h30m" + (", or forever" if endless else "")
            raise self.wrong(key, examples, value)
        return seconds

    def wrong(self, key: str, expected: str, value: object = _REQUIRED) -> ScenarioError:
        """The error for a value that is not what was expected."""
        got = self._values.get(key) if value is _REQUIRED else value
        return ScenarioError(f"{self._at(key)}: expected {expected}, got {_shown(got)}")

    def _at(self, key: object) -> str:
        return f"{self.place}.{key}" if self.place else str(key)


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()[1:]):
        return None
    hours, minutes, seconds, thousandths = (float(group or 0) for group in match.groups()[1:])
    size = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    return -size if match[1] else size


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
