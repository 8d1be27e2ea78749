"""The shared libraries that programs load, and where the dynamic loader looks for them."""

import re
import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

_PT_DYNAMIC, _DT_RPATH, _DT_RUNPATH = 2, 15, 29
_LOADED = re.compile(r"^\s+(?:(?P<name>\S+) => )?(?P<path>/\S+|not found)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)
# What a library opens when it first needs it, as libc does with the one that unwinds the stack of a thread that ends.
_NAMED = re.compile(rb"(?<=\0)lib[\w.+-]+\.so(?:\.\d+)+(?=\0)", re.ASCII)


class MissingLibraryError(Exception):
    """A shared library is not installed, or is not found as it should be."""


def libraries(programs: Iterable[Path]) -> set[Path]:
    """Give every shared library that programs and extension modules load, the loader included, by the path that it has.

    Raises:
        MissingLibraryError: if the loader does not find one of them.
    """
    found: set[Path] = set()
    waiting = list(programs)
    while waiting:
        new = set(_needed(waiting)) - found
        new |= {named for library in new for named in _named_in(library)} - found
        found |= new
        waiting = list(new)
    return found


def _needed(files: list[Path]) -> Iterator[Path]:
    """Ask the loader itself, which takes its search path and the machine's architecture into account."""
    if not files:
        return
    printed = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True).stdout
    for match in _LOADED.finditer(printed):
        if match["path"] == "not found":
            raise MissingLibraryError(f"{match['name']} is not installed, which one of the image's programs needs.")
        yield Path(match["path"])


def _named_in(library: Path) -> Iterator[Path]:
    for name in set(_NAMED.findall(library.read_bytes())):
        if (beside := library.parent / name.decode()).exists():
            yield beside


def search_own_path_first(program: Path) -> None:
    """Have the loader look into a program's own library path before it looks into LD_LIBRARY_PATH.

    That is what tells DT_RPATH from DT_RUNPATH, whose place in the program it takes: see `man 8 ld.so`.

    Raises:
        MissingLibraryError: if the program has no such path.
    """
    content = bytearray(program.read_bytes())
    word, entry, offset_at, size_at = ("Q", "QQ", 8, 32) if content[4] == 2 else ("I", "II", 4, 16)
    order = "<" if content[5] == 1 else ">"
    (table,) = struct.unpack_from(f"{order}{word}", content, 32 if word == "Q" else 28)
    length, count = struct.unpack_from(f"{order}HH", content, 54 if word == "Q" else 42)
    for header in range(table, table + length * count, length):
        if struct.unpack_from(f"{order}I", content, header) != (_PT_DYNAMIC,):
            continue
        (start,) = struct.unpack_from(f"{order}{word}", content, header + offset_at)
        (size,) = struct.unpack_from(f"{order}{word}", content, header + size_at)
        for at in range(start, start + size, struct.calcsize(f"{order}{entry}")):
            tag, value = struct.unpack_from(f"{order}{entry}", content, at)
            if tag in (_DT_RPATH, _DT_RUNPATH):
                struct.pack_into(f"{order}{entry}", content, at, _DT_RPATH, value)
                program.write_bytes(content)
                return
    raise MissingLibraryError(f"{program} has no library path of its own, so that LD_LIBRARY_PATH would come first.")
