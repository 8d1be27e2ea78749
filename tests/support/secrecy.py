"""Search for secrets in everything that a step leaves behind."""

import base64
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from tests.support.result import Result

_MASK = b"::add-mask::"


def forms(secret: str) -> set[bytes]:
    """A secret as it might show: plain, URL-encoded, in base64 at every alignment."""
    data = secret.encode()
    encoded = set()
    for shift in range(3):
        # What stands before and after the secret changes the base64 of its first and last bytes only.
        whole = base64.b64encode(b"\0" * shift + data)
        start, end = -(-shift * 8 // 6), (shift + len(data)) * 8 // 6
        encoded |= {whole[start:end], whole[start:end].replace(b"+", b"-").replace(b"/", b"_")}
    return {data, quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode()} | encoded


def check(result: Result, given: Iterable[str], fetched: Iterable[str] = ()) -> None:
    """Assert that no secret shows, and that each is masked before anything else is said that could show it.

    `given` are the inputs, masked before every other line; `fetched` are tokens that were got on the way, and used.
    """
    lines = result.printed.split(b"\n")
    masks = [line for line in lines if line.startswith(_MASK)]
    said = b"\n".join(line for line in lines if not line.startswith(_MASK))
    given = list(given)
    assert sorted(lines[: len(given)]) == sorted(_MASK + secret.replace("%", "%25").encode() for secret in given)
    places = {
        "standard output": said,
        "the outputs": repr(result.outputs).encode(),
        "the state": repr(result.state).encode(),
        "the summary": result.summary.encode(),
    }
    for secret in [*given, *fetched]:
        assert _MASK + secret.replace("%", "%25").encode() in masks, "a secret is not masked"
        for place, text in places.items():
            for form in forms(secret):
                assert form not in text, f"a secret shows in {place}"
