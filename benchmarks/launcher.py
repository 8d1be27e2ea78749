"""Runs a program and writes the peak of its resident memory, in KiB, to a file: `launcher.py FILE PROGRAM ARGUMENT...`.

Linux counts towards `ru_maxrss` what the process that starts a program held at that moment. So a small one starts it.
"""

import os
import sys

if __name__ == "__main__":
    file, *program = sys.argv[1:]
    _, status, usage = os.wait4(os.posix_spawn(program[0], program, os.environ), 0)
    with open(file, "w", encoding="ascii") as result:  # noqa: PTH123 (pathlib would add to the launcher's memory)
        result.write(str(usage.ru_maxrss))
    sys.exit(os.waitstatus_to_exitcode(status))
