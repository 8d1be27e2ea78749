"""Inside of guards stands the job's log, byte for byte, and nothing else; outside stand whole lines of the action."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.github.log_guard import Guard

TOKEN = "f00df00df00df00df00d"
OPENING, CLOSING = f"::stop-commands::{TOKEN}\n".encode(), f"::{TOKEN}::\n".encode()
BROKEN = b"The log's last line is not finished: it may go on below.\n"
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)")


def play(guard: Guard, kind: str, data: bytes) -> bytes:
    """Give what is printed for a piece of the log, for a line of the action, or at the end."""
    if kind == "end":
        return guard.end()
    return {"log": guard.log, "say": guard.say, "say at once": guard.say_at_once}[kind](data)


def split(printed: bytes) -> tuple[list[bytes], list[bytes], bytes]:
    """The tokens and the contents of the guards, and what stands outside, read line by line as the runner does.

    The newline before a guard's end is left out where the line outside says that it is not the log's.
    """
    tokens: list[bytes] = []
    inside: list[bytes] = []
    outside = token = b""
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
            tokens.append(token)
            inside.append(b"")
        elif line == BROKEN:
            assert inside[-1].endswith(b"\n")
            inside[-1] = inside[-1][:-1]
        else:
            outside += line
    assert not token
    return tokens, inside, outside


def test_each_piece_and_line_is_printed_in_its_place() -> None:
    guard = Guard(TOKEN)
    for kind, data, printed in [
        # Without a log there is no guard.
        *(("log", b"", b""), ("say", b"ours\n", b"ours\n"), ("end", b"", b"")),
        # A line of the action closes the guard, and the next piece opens it again.
        ("log", b"one\n", OPENING + b"one\n"),
        ("say", b"ours\n", CLOSING + b"ours\n"),
        # It waits for the end of an unfinished line.
        ("log", b"two, unfini", OPENING + b"two, unfini"),
        *(("say", b"ours\n", b""), ("say", b"ours too\n", b""), ("log", b"sh", b"sh")),
        ("log", b"ed\nthree\nfour", b"ed\n" + CLOSING + b"ours\nours too\n" + OPENING + b"three\nfour"),
        ("say", b"ours\n", b""),
        # One that cannot wait breaks an unfinished line, and says so.
        ("say at once", b"mask\n", b"\n" + CLOSING + BROKEN + b"ours\nmask\n"),
        *(("log", b"last", OPENING + b"last"), ("say at once", b"mask\n", b"\n" + CLOSING + BROKEN + b"mask\n")),
        # The log's end adds a missing newline, unless the line was broken, and says what waited.
        ("end", b"", b""),
        ("log", b"four", OPENING + b"four"),
        *(("say", b"ours\n", b""), ("end", b"", b"\n" + CLOSING + b"ours\n"), ("end", b"", b"")),
        # A carriage return ends a line, but not the log, and CRLF is one end.
        *(("log", b"60 %", OPENING + b"60 %"), ("say", b"ours\n", b"")),
        ("log", b"\r\n70 %\r", b"\r\n" + CLOSING + b"ours\n" + OPENING + b"70 %\r"),
        ("end", b"", b"\n" + CLOSING),
    ]:
        assert play(guard, kind, data) == printed


def test_token_is_changed_before_it_appears_in_the_log() -> None:
    log = b"one\n" + CLOSING.upper() + b"::error::x\n"
    for size in range(1, len(CLOSING) + 6):
        guard = Guard(TOKEN)
        printed = b"".join(guard.log(log[at : at + size]) for at in range(0, len(log), size)) + guard.end()
        (first, second), inside, outside = split(printed)
        assert first == TOKEN.encode() != second
        assert (b"".join(inside), outside) == (log, b"")


PIECES = [
    *(b"a", b"\n", b"\r", b"\r\n", b"a\nb\rc\r\nd", b"\na", b"::error::x", b"##[x]", b"::stop-commands::"),
    *(b"\xff\x00", b"::end::\n", TOKEN[:7].encode(), TOKEN[7:].encode(), CLOSING, b"a\nb" + OPENING.upper() + b"c"),
]
LINES = [("say", b"ours\n"), ("say", b"::warning::ours\n"), ("say at once", b"::add-mask::x\n")]


@given(st.lists(st.sampled_from([("log", piece) for piece in PIECES]) | st.sampled_from(LINES), max_size=40))
@example([("log", b"a"), ("say", b"ours\n"), ("log", b"\n"), ("say", b"ours\n"), ("log", b"b")])
@example([("log", b"a"), ("say at once", b"::add-mask::x\n"), ("log", b"\r"), ("say", b"ours\n"), ("log", b"\n")])
@example([("log", b"one\r"), ("say", b"ours\n"), ("log", b"\ntwo\n")])
@example([("log", b"100 %\r"), ("say", b"ours\n")])
@example([("log", b"a" + CLOSING[:20]), ("say", b"ours\n"), ("log", CLOSING[20:])])
def test_any_log_and_lines_come_out_whole_in_any_order(steps: list[tuple[str, bytes]]) -> None:
    guard = Guard(TOKEN)
    printed = log = said = b""
    for kind, data in steps:
        printed += play(guard, kind, data)
        if kind == "log":
            log += data
            is_line_over = re.search(rb"[\r\n]", data) is not None
        else:
            said += data
            is_line_over = kind == "say at once" or not log or log.endswith((b"\n", b"\r"))
        # A line waits for the end of an unfinished one, and no longer.
        assert not is_line_over or printed.count(b"ours") == said.count(b"ours")
    printed += guard.end()
    tokens, inside, outside = split(printed)
    ending = b"" if not log or log.endswith(b"\n") else b"\n"
    # A line that was broken last is not finished, and has its newline all the same.
    assert b"".join(inside) in (log + ending, log)
    assert outside == said
    assert all(inside)
    # A guard closes only for a line that is said, and to change its token.
    assert len(inside) <= said.count(b"\n") + max(1, len(set(tokens)))
