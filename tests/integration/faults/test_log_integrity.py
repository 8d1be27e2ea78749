"""The job's log comes out as it was written, byte for byte, wherever and however often its stream breaks."""

import random
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.faults.faults import html
from tests.support.in_process import IMPATIENT, stage
from tests.support.peer import Behaviour, Exchange, answer, close, cut, relay, reset, silence
from tests.support.step import Result

STREAMS = pytest.mark.parametrize("stream", ["ends", "held"])
MIB: Final = 1024 * 1024
NOTHING_YET: Final = answer(204)

ODDITIES: Final = {
    "nothing": b"",
    "one newline": b"\n",
    "carriage returns": b"10 %\r50 %\r100 %\r\nnext\r\n",
    "NUL": b"a\0b\n\0\n",
    "invalid UTF-8": b"\xff\xfe \xc3\n\xe2\x82\n\x80\n",
    "ANSI": b"\x1b[31mred\x1b[0m \x1b]8;;https://example.invalid\x07link\x1b]8;;\x07\n",
    "no final newline": "erste\nletzte ä".encode(),
    "only an unfinished line": b"unfinished",
    "a line of 10 MB": b"x" * (10 * MIB) + b"\nshort\n",
    "an unfinished line of 10 MB": b"short\n" + b"0123456789" * MIB,
    "lines around the longest that is held": b"".join(b"y" * (64 * 1024 + n) + b"\n" for n in (-2, -1, 0, 1, 2)),
    "workflow commands": b"::error::no\n##[warning]no\n::stop-commands::x\n::add-mask::e\n\r::set-output name=a::b\n",
}


@STREAMS
@pytest.mark.parametrize("log", ODDITIES.values(), ids=ODDITIES.keys())
def test_oddities_are_unchanged(log: bytes, stream: str, tmp_path: Path) -> None:
    with stage(tmp_path, scenario([log], stream), logs="stream") as here:
        assert_whole(here.run(), log)


@STREAMS
@pytest.mark.parametrize(
    ("then", "runs"), [(reset, 5), (close, 5), (silence(30), 90)], ids=["reset", "close", "silence"]
)
def test_long_line_that_breaks_twice_comes_once(stream: str, then: Behaviour, runs: float, tmp_path: Path) -> None:
    log = b"first\n" + b"0123456789abcdef" * (4 * MIB // 16) + b"\nlast\n"
    with stage(tmp_path, scenario([log], stream, runs), logs="stream") as here:
        here.peer.on("logs", cut(MIB + 5, then), {1})
        here.peer.on("logs", cut(3 * MIB + 7, then), {2})
        assert_whole(here.run(IMPATIENT), log)


@STREAMS
def test_200_000_lines_break_at_random_places(stream: str, tmp_path: Path) -> None:
    chance = random.Random(f"200000 {stream}")
    log = "".join(f"Zeile {number:06d}: größer als € und 😀\n" for number in range(200_000)).encode()
    lines = {"lines": 200_000, "over": "40s", "text": "Zeile {n}: größer als € und 😀"}
    plan = {"job": {"runs": "45s", "log": [lines]}, "logs": {"stream": stream}}
    with stage(tmp_path, plan, logs="stream") as here:

        def break_somewhere(exchange: Exchange) -> None:
            behaviour = chance.choices(
                [cut(int(chance.expovariate(1 / 150_000)), chance.choice([reset, close])), html(502), NOTHING_YET],
                weights=[8, 1, 1],
            )[0]
            behaviour(exchange)

        here.peer.on("logs", break_somewhere, range(1, 100))
        result = here.run()
        assert here.peer.count("logs") > 40
    assert_whole(result, log)


def test_log_of_a_failed_job_is_whole_if_it_is_wanted_only_then(tmp_path: Path) -> None:
    log = "".join(f"Zeile {number:06d}\n" for number in range(5_000)).encode()
    plan = {"job": {"runs": "45s", "ends": "ERROR", "log": [{"lines": 5_000, "text": "Zeile {n}"}]}}
    with stage(tmp_path, plan, logs="on-failure") as here:
        for number, after in enumerate((100, 150, 5_000, 40_000), 1):
            here.peer.on("logs", cut(after), {number})
        here.peer.on("logs", html(502), {5})
        result = here.run()
    assert result.code == 1
    assert result.log.job_log == log.replace(b"Zeile 00", b"Zeile ")


def test_stream_of_unknown_length_that_ends_early_is_read_on(tmp_path: Path) -> None:
    # Without chunks and `Content-Length` nothing tells a stream that was cut off from one that has ended.
    def half(exchange: Exchange) -> None:
        _, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
        data = unchunked(body)
        exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + data[: len(data) // 2]
        )

    log = b"".join(b"line %d\n" % number for number in range(100))
    with stage(tmp_path, scenario([log], "ends"), logs="stream") as here:
        here.peer.on("logs", half, range(1, 4))
        assert_whole(here.run(), log)


_LINES = st.one_of(
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
    st.sampled_from([b"", b"\r", b"\0", "größer als € und 😀".encode(), b"::error::no", b"\x1b[31mred\x1b[0m"]),
    # So many bytes, around the size up to which an unfinished line is held back.
    st.integers(60_000, 140_000),
)
_PIECES = st.lists(st.lists(_LINES, max_size=8), min_size=1, max_size=4)
_BREAKS = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 1_000), st.integers(1, 60)),
    st.tuples(st.just("cut"), st.integers(0, 200_000), st.sampled_from([7, 4_000, 65_536])),
    st.just(("502", 0, 0)),
    st.just(("204", 0, 0)),
)


@STREAMS
@given(pieces=_PIECES, breaks=st.lists(_BREAKS, max_size=8), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_any_log_survives_any_breaks(
    stream: str, pieces: list[list[bytes | int]], breaks: list[tuple[str, int, int]], seed: int
) -> None:
    random.seed(seed)
    texts = [b"\n".join(b"z" * line if isinstance(line, int) else line for line in piece) for piece in pieces]
    with TemporaryDirectory() as folder, stage(Path(folder), scenario(texts, stream), logs="stream") as here:
        for number, behaviour in enumerate(behaviours(breaks, stream), 1):
            here.peer.on("logs", behaviour, {number})
        assert_whole(here.run(), b"".join(texts))


def behaviours(breaks: Sequence[tuple[str, int, int]], stream: str) -> list[Behaviour]:
    """The break of each request; an empty answer never comes twice, since two of them mean the end of the log."""
    found: list[Behaviour] = []
    for kind, after, size in breaks:
        if kind == "502":
            found.append(html(502))
        elif kind == "204":
            found += [NOTHING_YET, relay]
        elif stream == "held":
            found.append(cut(after))
        else:
            found.append(cut_in_chunks(after, size))
    return found


def cut_in_chunks(after: int, size: int) -> Behaviour:
    """Pass so many bytes of the answer on, in chunks of that size: many breaks are then within a chunk's own line."""

    def behave(exchange: Exchange) -> None:
        head, end, body = exchange.platform_answer().partition(b"\r\n\r\n")
        data = unchunked(body)
        chunks = b"".join(chunk(data[start : start + size]) for start in range(0, len(data), size))
        whole = head + end + chunks + b"0\r\n\r\n"
        exchange.send(whole[:after])
        if after < len(whole):
            exchange.reset()

    return behave


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def unchunked(body: bytes) -> bytes:
    data = []
    position = 0
    while position < len(body):
        end = body.index(b"\r\n", position)
        size = int(body[position:end], 16)
        data.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(data)


def scenario(pieces: Sequence[bytes], stream: str, runs: float | None = None) -> dict[str, Any]:
    """A job that writes a piece of its log each second, and ends soon after the last unless it `runs` for longer."""
    log = [{"at": number, "base64": b64encode(piece).decode()} for number, piece in enumerate(pieces)]
    return {"job": {"runs": runs or len(pieces) + 0.5, "log": log}, "logs": {"stream": stream}}


def assert_whole(result: Result, log: bytes) -> None:
    assert result.code == 0
    shown = result.log.job_log
    # Compared by hand: what pytest makes of two strings of 10 MB takes minutes.
    expected = log if not log or log.endswith(b"\n") else log + b"\n"
    assert len(shown) == len(expected)
    assert shown == expected or pytest.fail("the log is another than what was written")
