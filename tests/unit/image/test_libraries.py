"""The shared libraries of the image: which ones a program loads, and where the loader looks for them."""

import shutil
import sys
from pathlib import Path

import pytest

from tools.image.libraries import MissingLibraryError, libraries, search_own_path_first

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are those of Linux, as in the image")


def test_libraries_of_a_program_are_found_with_the_loader() -> None:
    found = libraries([Path("/bin/sh")])
    assert all(file.is_file() for file in found)
    assert {"libc.so.6"} <= {file.name for file in found}
    assert any(file.name.startswith("ld-") for file in found)


def test_program_without_a_path_of_its_own_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/sh", program)
    with pytest.raises(MissingLibraryError, match="has no library path of its own"):
        search_own_path_first(program)
