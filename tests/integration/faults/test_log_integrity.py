"""The job's log comes out as it was written, byte for byte, wherever and however often its stream breaks."""

import random
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.faults.faults import html, unchunked
from tests.support.peer import Behaviour, Exchange, answer, close, reset, silence
from tests.support.result import Result
from tests.support.stage import stage

STREAMS = pytest.mark.parametrize("stream", ["ends", "held"])

# Pieces that are written one after the other; the last may end without a newline.
ODDITIES: dict[str, list[bytes]] = {
    "nothing": [b""],
    "one newline": [b"\n"],
    "only an unfinished line": ["letzte ä".encode()],
    "an unfinished line of 10 MB": [b"short\n" + b"0123456789" * 2**20],
    "all sorts of lines": [
        b"10 %\r50 %\r100 %\r\nnext\r\n",
        b"a\0b\n\0\n",
        b"\xff\xfe \xc3\n\xe2\x82\n\x80\n",
        b"\x1b[31mred\x1b[0m \x1b]8;;https://example.invalid\x07link\x1b]8;;\x07\n",
        # Around the longest that is held back.
        *(b"y" * (64 * 1024 + number) + b"\n" for number in (-2, -1, 0, 1, 2)),
        b"::error::no\n##[warning]no\n::stop-commands::x\n::add-mask::e\n\r::set-output name=a::b\n",
    ],
}


@STREAMS
@pytest.mark.parametrize("pieces", ODDITIES.values(), ids=ODDITIES)
def test_oddities_are_unchanged_and_come_once(pieces: list[bytes], stream: str, tmp_path: Path) -> None:
    log = [{"at": number, "base64": b64encode(piece).decode()} for number, piece in enumerate(pieces)]
    scenario = {"job": {"runs": 90, "log": log}, "logs": {"stream": stream}}
    with stage(tmp_path, scenario, logs="stream") as here:
        # Long ones break in between, two of them inside of the same line.
        for number, behaviour in enumerate((cut(100_000, silence(30)), cut(2_000_000, close), cut(7_000_000)), 1):
            here.peer.on("logs", behaviour, {number})
        assert_whole(here.run(), b"".join(pieces))


@STREAMS
def test_10_000_lines_whose_stream_breaks_at_random_places_come_whole(stream: str, tmp_path: Path) -> None:
    chance, text = random.Random(stream), "Zeile {n}: größer als € und 😀"
    log = "".join(text.replace("{n}", f"{number:04d}") + "\n" for number in range(10_000)).encode()
    scenario = {"job": {"runs": "25s", "log": [{"lines": 10_000, "over": "20s", "text": text}]}}

    def break_somewhere(exchange: Exchange) -> None:
        after, size = int(chance.expovariate(1 / 8_000)), chance.choice([7, 60, 4_000])
        # A stream that is held comes whole only when the job is over.
        ways = [half, cut_in_chunks(after, size)] if stream == "ends" else [cut(after), cut(after)]
        chance.choice([*ways, cut(after), cut(after, close), html(502), answer(204)])(exchange)

    with stage(tmp_path, {**scenario, "logs": {"stream": stream}}, logs="stream") as here:
        here.peer.on("logs", break_somewhere, range(1, 60))
        result = here.run()
        assert here.peer.count("logs") > 20
    assert_whole(result, log)


def half(exchange: Exchange) -> None:
    """Without chunks and `Content-Length`, nothing tells a stream that was cut off from one that has ended."""
    data = unchunked(exchange.platform_answer().partition(b"\r\n\r\n")[2])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    exchange.send(head + data[: len(data) // 2])


def cut(after: int, then: Behaviour = reset) -> Behaviour:
    """Pass so many bytes of the platform's answer on, its head included, and then misbehave."""

    def behave(exchange: Exchange) -> None:
        left = after
        with closing(exchange.peer.ask_platform(exchange.request)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                exchange.send(piece[:left])
                left -= len(piece)
                if left <= 0:
                    then(exchange)
                    return

    return behave


def cut_in_chunks(after: int, size: int) -> Behaviour:
    """Pass so many bytes of the answer on, in chunks of that size: many breaks are then within a chunk's own line."""

    def behave(exchange: Exchange) -> None:
        head, end, body = exchange.platform_answer().partition(b"\r\n\r\n")
        # A little more than is sent of it; chunks of a few bytes are costly to make.
        data = unchunked(body)[: after + size]
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        whole = head + end + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
        exchange.send(whole[:after])
        if after < len(whole):
            reset(exchange)

    return behave


def assert_whole(result: Result, log: bytes) -> None:
    assert result.code == 0
    shown = result.log.job_log
    # Compared by hand: what pytest makes of two strings of 10 MB takes minutes.
    expected = log if not log or log.endswith(b"\n") else log + b"\n"
    assert len(shown) == len(expected)
    assert shown == expected or pytest.fail("the log is another than what was written")
