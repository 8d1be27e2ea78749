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


class _Elf:
    """The file of a program or library for Linux, of any architecture: https://man7.org/linux/man-pages/man5/elf.5.html."""

    def __init__(self, file: Path) -> None:
        self.content = bytearray(file.read_bytes())
        self._order = "<" if self.content[5] == 1 else ">"
        self.word, self._offset_at, self._size_at = ("Q", 8, 32) if self.content[4] == 2 else ("I", 4, 16)
        size = struct.calcsize(self.word)
        # Where the header says where the tables of segments and of sections are, and how many entries they have.
        self._segments_at, self._sections_at, self._counts_at = 24 + size, 24 + 2 * size, 30 + 3 * size

    def read(self, shape: str, at: int) -> tuple[int, ...]:
        """Give the numbers that stand somewhere."""
        return struct.unpack_from(f"{self._order}{shape}", self.content, at)

    def write(self, shape: str, at: int, *values: int) -> None:
        """Put numbers in place of others."""
        struct.pack_into(f"{self._order}{shape}", self.content, at, *values)

    def segments(self) -> Iterator[tuple[int, int, int]]:
        """Give the type of each part that is loaded, or read by the loader; where it begins; and how long it is."""
        (table,) = self.read(self.word, self._segments_at)
        length, count = self.read("2H", self._counts_at)
        for header in range(table, table + length * count, length):
            (kind,) = self.read("I", header)
            (offset,) = self.read(self.word, header + self._offset_at)
            (size,) = self.read(self.word, header + self._size_at)
            yield kind, offset, size

    def drop_sections(self) -> None:
        """Cut off what no segment has, and the table of sections, which linkers and debuggers read."""
        self.write(self.word, self._sections_at, 0)
        # The length and the number of the table's entries, and which of them has the names.
        self.write("3H", self._counts_at + 4, 0, 0, 0)
        del self.content[max(offset + size for _, offset, size in self.segments()) :]


def strip(program: Path) -> None:
    """Cut debug information and symbols off a program or library, which stand behind all that is loaded."""
    elf = _Elf(program)
    elf.drop_sections()
    program.write_bytes(elf.content)


def search_own_path_first(program: Path) -> None:
    """Have the loader look into a program's own library path before it looks into LD_LIBRARY_PATH.

    That is what tells DT_RPATH from DT_RUNPATH, whose place in the program it takes: see `man 8 ld.so`.

    Raises:
        MissingLibraryError: if the program has no such path.
    """
    elf = _Elf(program)
    entry = 2 * elf.word
    for kind, offset, size in elf.segments():
        if kind != _PT_DYNAMIC:
            continue
        for at in range(offset, offset + size, struct.calcsize(f"={entry}")):
            tag, value = elf.read(entry, at)
            if tag in (_DT_RPATH, _DT_RUNPATH):
                elf.write(entry, at, _DT_RPATH, value)
                program.write_bytes(elf.content)
                return
    raise MissingLibraryError(f"{program} has no library path of its own, so that LD_LIBRARY_PATH would come first.")
