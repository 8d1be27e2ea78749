"""Take credentials out of text that comes from elsewhere, in whatever form it repeats them.

The text is decoded layer by layer (percent, HTML, JSON and their mixtures), and each layer is searched for the secrets
without regard to case. So no list of forms has to foresee how a gateway writes a secret. Base64 is the exception: its
letters depend on what precedes the secret, and there are three ways to write the same bytes.
"""

import base64
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

# A shorter secret would blot out ordinary words; the runner's log masks no shorter one either.
SHORTEST_SECRET = 4
# So much of a secret's beginning counts as the secret: texts are cut.
SHORTEST_BEGINNING = 12
# A derived form that is shorter occurs in ordinary text by chance.
_SHORTEST_FORM = 8
# Text is rarely encoded more than three times. A bound keeps the time linear for `%252525…`.
_MOST_LAYERS = 8

_MASK = b"***"

# Compiled when there is a text to clean, which most steps do not have before their trigger.
_ENCODED = rb"""(?ix)
      [%\\]u(?P<pair>d[89ab][0-9a-f]{2}[%\\]ud[c-f][0-9a-f]{2}) | [%\\]u(?P<unit>[0-9a-f]{4})
    | %(?P<percent>[0-9a-f]{2})
    | \\u\{(?P<braces>0{0,4}[0-9a-f]{1,5})\} | \\x(?P<byte>[0-9a-f]{2})
    | \\(?!%[0-9a-f]{2}|&\#?[0-9a-z]{1,32};)(?P<character>[!-/:-@\[-`{-~])
    | (?P<entity>&\#?[0-9a-z]{1,32};)
    # Colours, controls, wide blanks, characters that do not show, and halves of one: they would part a secret that is
    # whole again without them. They are those of `text`, in UTF-8.
    | \x1b\[[0-?]*[ -/]*[@-~]
    | \\[nrt] | [\x00-\x1f\x7f] | \xc2[\x80-\xa0\xad] | \xcd\x8f | \xd8\x9c | \xe1\x85[\x9f\xa0] | \xe1\x9a\x80
    | \xe1\x9e[\xb4\xb5] | \xe1\xa0[\x8b-\x8f] | \xe2\x80[\x80-\x8f\xa8-\xaf] | \xe2\x81[\x9f-\xaf] | \xe3\x80\x80
    | \xe3\x85\xa4 | \xed[\xa0-\xbf][\x80-\xbf] | \xef\xbb\xbf | \xef\xbe\xa0 | \xef\xbf[\xb0-\xbb]
    | \xf3\xa0[\x80-\xbf][\x80-\xbf]
    """


class Redactor:
    """Knows the secrets, which may grow, and finds them in text. Several threads may use it at once."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = list(secrets)

    def add(self, secret: str) -> None:
        """Look for `secret` too from now on; one of less than `SHORTEST_SECRET` characters is ignored."""
        self._secrets.append(secret)

    def clean(self, text: str) -> str:
        """Give `text` with `***` for each secret, and for each beginning of one, in any encoding and case."""
        if not text:
            return text
        spans = sorted(span for layer, origins in _layers(text) for span in self._spans(layer, origins))
        if not spans:
            return text
        data = _bytes(text)
        parts = []
        position = 0
        for start, end in _merged(spans):
            parts += [data[position:start], _MASK]
            # Controls behind a secret, which do not show, belong to what follows.
            position = start + len(data[start:end].rstrip())
        # A beginning may end within a character that only begins like the secret's.
        return b"".join([*parts, data[position:]]).decode("utf-8", "ignore")

    def holds(self, text: str) -> bool:
        """Say whether `text`, an id or a link, holds a secret or a beginning of one, in any encoding and case."""
        return any(True for layer, origins in _layers(text) for _ in self._spans(layer, origins))

    def _spans(self, layer: bytes, origins: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Give where secrets stand in a layer, as positions in the original text."""
        for secret in list(self._secrets):
            for pattern in _patterns(secret):
                for start, end in _beginnings(pattern, layer):
                    yield origins[start], origins[end]


@cache
def _patterns(secret: str) -> frozenset[bytes]:
    """Give what to search for in lower case: the secret, what its own escapes decode to, and its base64."""
    if len(secret) < SHORTEST_SECRET:
        return frozenset()
    data = _bytes(secret)
    # A form in an address may write a blank as `+`.
    patterns = [data, data.replace(b" ", b"+")]
    derived = [layer for layer, _ in _layers(secret)]
    for shift in range(3):
        # The first and last letters also depend on the neighbours, unless they hold bits of the secret alone.
        encoded = base64.b64encode(bytes(shift) + data)[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
        derived += [encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))]
    patterns += [pattern for pattern in derived if len(pattern) >= _SHORTEST_FORM]
    return frozenset(pattern.lower() for pattern in patterns)


def _layers(text: str) -> Iterator[tuple[bytes, Sequence[int]]]:
    """Give `text` in lower case as it is, decoded once, decoded twice, …; each with its bytes' original positions."""
    data = _bytes(text)
    origins: Sequence[int] = range(len(data) + 1)
    for _ in range(_MOST_LAYERS):
        yield data.lower(), origins
        decoded, origins = _decode(data, origins)
        if decoded == data:
            return
        data = decoded


def _decode(data: bytes, origins: Sequence[int]) -> tuple[bytes, Sequence[int]]:
    """Undo one layer of encoding."""
    parts = []
    positions = array("Q")
    end = 0
    for match in re.finditer(_ENCODED, data):
        plain = _meaning(match)
        parts += [data[end : match.start()], plain]
        positions.extend(origins[end : match.start()])
        positions.extend([origins[match.start()]] * len(plain))
        end = match.end()
    positions.extend(origins[end:])
    return b"".join([*parts, data[end:]]), positions


def _meaning(match: re.Match[bytes]) -> bytes:
    """Give the bytes that an escape stands for; none for a character that does not show."""
    value = match[match.lastgroup].decode("ascii") if match.lastgroup else ""
    match match.lastgroup:
        case "percent":
            return bytes.fromhex(value)
        case "pair" | "unit":
            return _bytes(bytes.fromhex(value[:4] + value[6:]).decode("utf-16-be", "surrogatepass"))
        case "byte" | "braces":
            return _bytes(chr(int(value, 16)))
        case "entity":
            # Its table of names is slow to load, and most texts name no character.
            from html import unescape

            return _bytes(unescape(value))
        case _:
            return value.encode("ascii")


def _beginnings(pattern: bytes, layer: bytes) -> Iterator[tuple[int, int]]:
    """Give where the pattern stands in the layer, or a beginning of it that is long enough; they may overlap.

    The search is that of Knuth, Morris and Pratt, so that its time grows with the layer alone: in `aaaa…`, a beginning
    of `aaa…ab` stands everywhere.
    """
    head = pattern[:SHORTEST_BEGINNING]
    start, size = layer.find(head), 0
    while start >= 0:
        size = _common_length(pattern, layer, start, max(size, len(head)))
        end = start + size
        yield start, end
        if end == len(layer):
            return
        # The next one that goes beyond `end` begins with what the pattern ends and begins with, so far.
        borders = _borders(pattern)
        while size >= len(head) and (size == len(pattern) or layer[end] != pattern[size]):
            size = borders[size]
            start = end - size
        if size < len(head):
            start, size = layer.find(head, start), 0


def _common_length(pattern: bytes, layer: bytes, start: int, least: int) -> int:
    """Give how much of the pattern stands in the layer at `start`; its first `least` bytes do."""
    size, step = least, 1
    while size < len(pattern) and layer.startswith(pattern[size : size + step], start + size):
        size = min(size + step, len(pattern))
        step *= 2
    rest = range(size, min(size + step, len(pattern)))
    return size + bisect_left(rest, True, key=lambda end: not layer.startswith(pattern[size : end + 1], start + size))


@cache
def _borders(pattern: bytes) -> Sequence[int]:
    """Give, for each of the pattern's beginnings by its size, how much of it is both its beginning and its end."""
    borders = array("L", [0, 0])
    size = 0
    for byte in pattern[1:]:
        while size and pattern[size] != byte:
            size = borders[size]
        size += pattern[size] == byte
        borders.append(size)
    return borders


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join sorted spans that overlap or touch."""
    start = end = -1
    for next_start, next_end in spans:
        if next_start > end:
            if end >= 0:
                yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    yield start, end


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
