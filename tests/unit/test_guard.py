"""Inside of guards stands the job's log, byte for byte, and nothing else; outside stand whole lines of the action."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.github.log_guard import Guard

TOKEN = "f00df00df00df00df00d"
OPENING, CLOSING = f"::stop-commands::{TOKEN}\n".encode(), f"::{TOKEN}::\n".encode()


BROKEN = b"The log's last line is not finished: it may go on below.\n"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)")


def split(printed: bytes) -> tuple[list[bytes], bytes]:
    """The contents of the guards, and what stands outside of them, read line by line as the runner does.

    The newline before a guard's end is left out where the line outside says that it is not the log's.
    """
    inside: list[bytes] = []
    outside = b""
    token = b""
    lines = _LINE.findall(printed)
    assert b"".join(lines) == printed
    for line in lines:
        opening = re.fullmatch(rb"::stop-commands::([0-9a-f]+)\n", line)
        if token and line == b"::%s::\n" % token:
            token = b""
        elif token:
            inside[-1] += line
        elif opening:
            token = opening[1]
            inside.append(b"")
        elif line == BROKEN:
            assert inside[-1].endswith(b"\n")
            inside[-1] = inside[-1][:-1]
        else:
            outside += line
    assert not token
    return inside, outside


def test_the_log_stands_between_the_two_lines() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"one\n") == OPENING + b"one\n"
    assert guard.log(b"two\n") == b"two\n"
    assert guard.end() == CLOSING


def test_no_guard_opens_without_a_log() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"") == b""
    assert guard.say(b"ours\n") == b"ours\n"
    assert guard.end() == b""


def test_a_line_of_the_action_closes_the_guard_and_the_next_piece_opens_it_again() -> None:
    guard = Guard(TOKEN)
    guard.log(b"one\n")
    assert guard.say(b"ours\n") == CLOSING + b"ours\n"
    assert guard.say(b"ours too\n") == b"ours too\n"
    assert guard.log(b"two\n") == OPENING + b"two\n"


def test_a_line_of_the_action_waits_for_the_end_of_an_unfinished_one() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"one, unfini") == OPENING + b"one, unfini"
    assert guard.say(b"ours\n") == b""
    assert guard.say(b"ours too\n") == b""
    assert guard.log(b"sh") == b"sh"
    assert guard.log(b"ed\ntwo\nthree") == b"ed\n" + CLOSING + b"ours\nours too\n" + OPENING + b"two\nthree"
    assert guard.end() == b"\n" + CLOSING


def test_the_end_adds_a_missing_newline_and_says_what_waited() -> None:
    guard = Guard(TOKEN)
    guard.log(b"unfinished")
    guard.say(b"ours\n")
    assert guard.end() == b"\n" + CLOSING + b"ours\n"
    assert guard.say(b"later\n") == b"later\n"


def test_a_carriage_return_ends_a_line() -> None:
    guard = Guard(TOKEN)
    guard.log(b"50 %\r")
    assert guard.say(b"ours\n") == CLOSING + b"ours\n"
    assert guard.log(b"60 %") == OPENING + b"60 %"
    assert guard.say(b"ours too\n") == b""
    assert guard.log(b"\r70 %") == b"\r" + CLOSING + b"ours too\n" + OPENING + b"70 %"


def test_a_line_waits_for_both_bytes_of_crlf() -> None:
    guard = Guard(TOKEN)
    guard.log(b"unfini")
    guard.say(b"ours\n")
    assert guard.log(b"shed\r\ntwo\r\n") == b"shed\r\n" + CLOSING + b"ours\n" + OPENING + b"two\r\n"


def test_crlf_in_two_pieces_stays_whole() -> None:
    guard = Guard(TOKEN)
    printed = guard.log(b"one\r") + guard.say(b"ours\n") + guard.log(b"\ntwo\n") + guard.end()
    assert split(printed) == ([b"one\r", b"\ntwo\n"], b"ours\n")


def test_a_log_that_ends_with_a_carriage_return_lacks_its_final_newline() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"100 %\r") + guard.end() == OPENING + b"100 %\r\n" + CLOSING
    guard = Guard(TOKEN)
    printed = guard.log(b"100 %\r") + guard.say(b"ours\n") + guard.end()
    assert split(printed) == ([b"100 %\r", b"\n"], b"ours\n")


def test_a_line_that_cannot_wait_breaks_an_unfinished_one_and_says_so() -> None:
    guard = Guard(TOKEN)
    guard.log(b"unfini")
    guard.say(b"ours\n")
    assert guard.say_at_once(b"mask\n") == b"\n" + CLOSING + BROKEN + b"ours\nmask\n"
    assert guard.say(b"ours too\n") == b"ours too\n"
    assert guard.log(b"shed\n") == OPENING + b"shed\n"
    assert guard.say_at_once(b"mask\n") == CLOSING + b"mask\n"
    assert guard.end() == b""


def test_a_line_that_was_broken_last_gets_no_second_newline() -> None:
    guard = Guard(TOKEN)
    guard.log(b"unfinished")
    guard.say_at_once(b"mask\n")
    assert guard.end() == b""


def test_the_token_is_changed_before_it_appears_in_the_log() -> None:
    for cut in range(len(CLOSING)):
        guard = Guard(TOKEN)
        evil = CLOSING.upper() + b"::error::x\n"
        printed = guard.log(b"one\n") + guard.log(b"two\n" + evil[:cut]) + guard.log(evil[cut:]) + guard.end()
        tokens = re.findall(rb"^::stop-commands::(.*)\n", printed, re.MULTILINE)
        assert len(set(tokens)) == 2
        assert tokens[0] == TOKEN.encode()
        inside, outside = split(printed)
        assert (b"".join(inside), outside) == (b"one\ntwo\n" + evil, b"")


def test_another_log_can_follow_the_end_of_one() -> None:
    guard = Guard(TOKEN)
    printed = guard.log(b"one") + guard.end() + guard.log(b"two\n") + guard.end()
    assert split(printed) == ([b"one\n", b"two\n"], b"")


log_pieces = st.lists(
    st.sampled_from(
        [
            *(b"a", b"\n", b"\r", b"\r\n", b"::error::x", b"##[x]", b"::stop-commands::", b"\xff\x00", b"::end::\n"),
            *(TOKEN[:7].encode(), TOKEN[7:].encode(), CLOSING, OPENING.upper()),
        ]
    ),
    max_size=5,
).map(b"".join)
Step = tuple[str, bytes]
steps = st.lists(
    log_pieces.map(lambda piece: ("log", piece))
    | st.sampled_from([b"ours\n", b"::warning::ours\n"]).map(lambda line: ("say", line))
    | st.just(("say_at_once", b"::add-mask::x\n")),
    max_size=30,
)


@given(steps)
@example([("log", b"a"), ("say", b"ours\n"), ("log", b"\n"), ("say", b"ours\n"), ("log", b"b")])
@example([("log", b"a"), ("say_at_once", b"::add-mask::x\n"), ("log", b"\r"), ("say", b"ours\n"), ("log", b"\n")])
@example([("log", b"a" + CLOSING[:20]), ("say", b"ours\n"), ("log", CLOSING[20:])])
def test_any_log_and_lines_come_out_whole_in_any_order(sequence: list[Step]) -> None:
    guard = Guard(TOKEN)
    printed = log = said = b""
    for kind, data in sequence:
        if kind == "log":
            printed += guard.log(data)
            log += data
            continue
        now = guard.say(data) if kind == "say" else guard.say_at_once(data)
        printed += now
        said += data
        if kind == "say_at_once" or not log or log.endswith((b"\n", b"\r")):
            assert now.endswith(data)
    printed += guard.end()
    inside, outside = split(printed)
    ending = b"" if not log or log.endswith(b"\n") else b"\n"
    # A line that was broken last is not finished, and has its newline all the same.
    assert b"".join(inside) in (log + ending, log)
    assert outside == said
    assert all(inside)


@given(st.lists(log_pieces, max_size=10), st.integers(0, 10))
def test_a_guard_closes_only_for_lines_that_are_said(pieces: list[bytes], place: int) -> None:
    pieces = [piece for piece in pieces if TOKEN[:7].encode() not in piece.lower()]
    guard = Guard(TOKEN)
    printed = b"".join(guard.log(piece) for piece in pieces[:place]) + guard.say(b"ours\n")
    printed += b"".join(guard.log(piece) for piece in pieces[place:]) + guard.end()
    assert printed.count(b"::stop-commands::" + TOKEN.encode()) <= 2
