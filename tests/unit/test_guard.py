"""Inside of guards stands the job's log, byte for byte, and nothing else; outside stand whole lines of our own."""

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.github.log_guard import Guard

TOKEN = "f00df00df00df00df00d"
OPENING, CLOSING = f"::stop-commands::{TOKEN}\n".encode(), f"::{TOKEN}::\n".encode()


def split(printed: bytes) -> tuple[list[bytes], bytes]:
    """The contents of the guards, and what stands outside of them, read line by line.

    Only LF ends a line here: a CR belongs to the log.
    """
    inside: list[bytes] = []
    outside = b""
    is_open = False
    for line in (rest + b"\n" for rest in printed.split(b"\n")[:-1]):
        if line == OPENING and not is_open:
            is_open = True
            inside.append(b"")
        elif line == CLOSING and is_open:
            is_open = False
        elif is_open:
            inside[-1] += line
        else:
            outside += line
    assert not is_open
    assert printed.endswith(b"\n") or not printed
    assert TOKEN.encode() not in outside + b"".join(inside)
    return inside, outside


def test_the_log_stands_between_the_two_lines() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"one\n") == OPENING + b"one\n"
    assert guard.log(b"two\n") == b"two\n"
    assert guard.end() == CLOSING


def test_nothing_opens_without_a_log() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"") == b""
    assert guard.say(b"ours\n") == b"ours\n"
    assert guard.end() == b""


def test_a_line_of_our_own_closes_the_guard_and_the_next_piece_opens_it_again() -> None:
    guard = Guard(TOKEN)
    guard.log(b"one\n")
    assert guard.say(b"ours\n") == CLOSING + b"ours\n"
    assert guard.say(b"ours too\n") == b"ours too\n"
    assert guard.log(b"two\n") == OPENING + b"two\n"


def test_in_the_middle_of_a_line_ours_waits_for_its_end() -> None:
    guard = Guard(TOKEN)
    assert guard.log(b"one, unfini") == OPENING + b"one, unfini"
    assert guard.say(b"ours\n") == b""
    assert guard.say(b"ours too\n") == b""
    assert guard.log(b"sh") == b"sh"
    assert guard.log(b"ed\ntwo\nthree") == b"ed\n" + CLOSING + b"ours\nours too\n" + OPENING + b"two\nthree"
    assert guard.end() == b"\n" + CLOSING


def test_at_the_end_a_missing_newline_is_added_and_what_waited_is_said() -> None:
    guard = Guard(TOKEN)
    guard.log(b"unfinished")
    guard.say(b"ours\n")
    assert guard.end() == b"\n" + CLOSING + b"ours\n"
    assert guard.say(b"later\n") == b"later\n"


def test_a_carriage_return_ends_no_line() -> None:
    guard = Guard(TOKEN)
    guard.log(b"50 %\r")
    assert guard.say(b"ours\n") == b""
    assert guard.end() == b"\n" + CLOSING + b"ours\n"


def test_after_its_end_the_log_is_dropped() -> None:
    guard = Guard(TOKEN)
    guard.log(b"one\n")
    guard.end()
    assert guard.log(b"a straggler\n") == b""
    assert guard.say(b"ours\n") == b"ours\n"


log_pieces = st.lists(
    st.sampled_from([b"a", b"\n", b"\r", b"::error::x", b"##[x]", b"::stop-commands::", b"\xff\x00", b"::end::\n"]),
    max_size=5,
).map(b"".join)
Step = tuple[str, bytes]
steps = st.lists(
    log_pieces.map(lambda piece: ("log", piece))
    | st.sampled_from([b"ours\n", b"::warning::ours\n"]).map(lambda line: ("say", line)),
    max_size=30,
)


@given(steps)
@example([("log", b"a"), ("say", b"ours\n"), ("log", b"\n"), ("say", b"ours\n"), ("log", b"b")])
def test_whatever_comes_in_whatever_order(sequence: list[Step]) -> None:
    guard = Guard(TOKEN)
    printed = log = said = b""
    for kind, data in sequence:
        if kind == "log":
            printed += guard.log(data)
            log += data
            continue
        now = guard.say(data)
        printed += now
        said += data
        # Ours comes at once, unless a line of the log is unfinished.
        assert now.endswith(data) == (not log or log.endswith(b"\n"))
    printed += guard.end()
    inside, outside = split(printed)
    assert b"".join(inside) == log + (b"\n" if log and not log.endswith(b"\n") else b"")
    assert outside == said
    # In between it closes only when there is something to say, and it never opens for nothing.
    assert len(inside) <= 1 + said.count(b"\n")
    assert all(inside)
