"""The shared libraries of the image: which ones a program loads, and where the loader looks for them."""

import ctypes
import shutil
import sys
from pathlib import Path

import pytest
from yaml import _yaml

from tools.image.libraries import MissingLibraryError, libraries, search_own_path_first, strip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are those of Linux, as in the image")


def test_libraries_of_a_program_are_found_with_the_loader() -> None:
    found = libraries([Path("/bin/sh")])
    assert all(file.is_file() for file in found)
    assert {"libc.so.6"} <= {file.name for file in found}
    assert any(file.name.startswith("ld-") for file in found)


def test_strip_leaves_what_is_loaded(tmp_path: Path) -> None:
    compiled = Path(_yaml.__file__)
    stripped = Path(shutil.copy(compiled, tmp_path))
    with pytest.raises(MissingLibraryError, match="has no library path of its own"):
        search_own_path_first(stripped)
    strip(stripped)
    assert stripped.stat().st_size < compiled.stat().st_size
    assert ctypes.PyDLL(str(stripped)).PyInit__yaml
