"""The job's log comes out as it was written, byte for byte, wherever and however often its stream breaks."""

import random
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.faults.faults import html, unchunked
from tests.support.peer import Behaviour, Exchange, answer, close, relay, reset, silence
from tests.support.result import Result
from tests.support.stage import stage

STREAMS = pytest.mark.parametrize("stream", ["ends", "held"])
MIB: Final = 1024 * 1024
NOTHING_YET: Final = answer(204)

# Pieces that are written one after the other; the last may end without a newline.
ODDITIES: Final[dict[str, list[bytes]]] = {
    "nothing": [b""],
    "one newline": [b"\n"],
    "only an unfinished line": ["letzte ä".encode()],
    "an unfinished line of 10 MB": [b"short\n" + b"0123456789" * MIB],
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
def test_oddities_are_unchanged(pieces: list[bytes], stream: str, tmp_path: Path) -> None:
    with stage(tmp_path, scenario(pieces, stream), logs="stream") as here:
        assert_whole(here.run(), b"".join(pieces))


@pytest.mark.parametrize(
    ("stream", "then", "runs"),
    [("ends", reset, 5), ("held", close, 5), ("ends", silence(30), 90), ("held", silence(30), 90)],
    ids=["ends-reset", "held-close", "ends-silence", "held-silence"],
)
def test_long_line_that_breaks_twice_comes_once(stream: str, then: Behaviour, runs: float, tmp_path: Path) -> None:
    log = b"first\n" + b"0123456789abcdef" * (MIB // 16) + b"\nlast\n"
    with stage(tmp_path, scenario([log], stream, runs), logs="stream") as here:
        here.peer.on("logs", cut(MIB // 4 + 5, then), {1})
        here.peer.on("logs", cut(3 * MIB // 4 + 7, then), {2})
        assert_whole(here.run(), log)


@STREAMS
def test_10_000_lines_break_at_random_places(stream: str, tmp_path: Path) -> None:
    chance = random.Random(f"10000 {stream}")
    text = "Zeile {n}: größer als € und 😀"
    log = "".join(text.replace("{n}", f"{number:04d}") + "\n" for number in range(10_000)).encode()
    lines = {"lines": 10_000, "over": "20s", "text": text}
    plan = {"job": {"runs": "25s", "log": [lines]}, "logs": {"stream": stream}}
    with stage(tmp_path, plan, logs="stream") as here:

        def break_somewhere(exchange: Exchange) -> None:
            break_off = cut(int(chance.expovariate(1 / 8_000)), chance.choice([reset, close]))
            chance.choices([break_off, html(502), NOTHING_YET], weights=[8, 1, 1])[0](exchange)

        here.peer.on("logs", break_somewhere, range(1, 100))
        result = here.run()
        assert here.peer.count("logs") > 20
    assert_whole(result, log)


def test_log_of_a_failed_job_is_whole_if_it_is_wanted_only_then(tmp_path: Path) -> None:
    plan = {"job": {"runs": "5s", "ends": "ERROR", "log": [{"lines": 5_000, "text": "Zeile {n}"}]}}
    with stage(tmp_path, plan, logs="on-failure") as here:
        for number, after in enumerate((100, 150, 5_000, 40_000), 1):
            here.peer.on("logs", cut(after), {number})
        here.peer.on("logs", html(502), {5})
        result = here.run()
    assert result.code == 1
    assert result.log.job_log == "".join(f"Zeile {number:04d}\n" for number in range(5_000)).encode()


def test_stream_of_unknown_length_that_ends_early_is_read_on(tmp_path: Path) -> None:
    # Without chunks and `Content-Length` nothing tells a stream that was cut off from one that has ended.
    def half(exchange: Exchange) -> None:
        data = unchunked(exchange.platform_answer().partition(b"\r\n\r\n")[2])
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        exchange.send(head + data[: len(data) // 2])

    log = b"".join(b"line %d\n" % number for number in range(100))
    with stage(tmp_path, scenario([log], "ends"), logs="stream") as here:
        here.peer.on("logs", half, range(1, 4))
        assert_whole(here.run(), log)


_LINES = st.one_of(
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
    st.sampled_from([b"", b"\r", b"\0", "größer als € und 😀".encode(), b"::error::no", b"\x1b[31mred\x1b[0m"]),
    # Around the size up to which an unfinished line is held back.
    st.integers(60_000, 140_000).map(lambda size: b"z" * size),
)
_PIECES = st.lists(st.lists(_LINES, max_size=8).map(b"\n".join), min_size=1, max_size=4)
# A cut after so many bytes, of chunks of some size; or another answer.
_BREAKS = st.one_of(
    st.tuples(st.integers(0, 1_000), st.integers(1, 60)),
    st.tuples(st.integers(0, 200_000), st.sampled_from([7, 4_000, 65_536])),
    st.just("502"),
    st.just("204"),
)


@STREAMS
@given(pieces=_PIECES, breaks=st.lists(_BREAKS, max_size=8))
@settings(max_examples=8)
def test_any_log_survives_any_breaks(stream: str, pieces: list[bytes], breaks: list[str | tuple[int, int]]) -> None:
    random.seed("breaks")
    with TemporaryDirectory() as folder, stage(Path(folder), scenario(pieces, stream), logs="stream") as here:
        behaviours: list[Behaviour] = []
        for found in breaks:
            if found == "502":
                behaviours.append(html(502))
            elif found == "204":
                # Never twice, since two empty answers mean the end of the log.
                behaviours += [NOTHING_YET, relay]
            else:
                after, size = int(found[0]), int(found[1])
                behaviours.append(cut(after) if stream == "held" else cut_in_chunks(after, size))
        for number, behaviour in enumerate(behaviours, 1):
            here.peer.on("logs", behaviour, {number})
        assert_whole(here.run(), b"".join(pieces))


def cut(after: int, then: Behaviour = reset) -> Behaviour:
    """Pass so many bytes of the platform's answer on, its head included, and then misbehave."""

    def behave(exchange: Exchange) -> None:
        left = after
        with closing(exchange.peer.ask_platform(exchange.request)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                exchange.send(piece[:left])
                left -= len(piece)
                if left <= 0:
                    break
        if left <= 0:
            then(exchange)

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
