"""The shared libraries of the image: which ones a program loads, and where the loader looks for them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from yaml import _yaml

from tools.image.libraries import MissingLibraryError, libraries, search_own_path_first, strip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are those of Linux, as in the image")

# Reads YAML with the compiled module in the file that is the argument.
USE_COMPILED = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("yaml._yaml", sys.argv[1])
sys.modules["yaml._yaml"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["yaml._yaml"])
import yaml
print(yaml.load("read: [with, libyaml]", yaml.CSafeLoader))
"""


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


def test_strip_leaves_what_is_loaded(tmp_path: Path) -> None:
    compiled = Path(_yaml.__file__)
    stripped = Path(shutil.copy(compiled, tmp_path))
    strip(stripped)
    assert stripped.stat().st_size < compiled.stat().st_size
    command = [sys.executable, "-c", USE_COMPILED, str(stripped)]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    assert printed == "{'read': ['with', 'libyaml']}\n"
