"""Fills the folder that becomes the action's image: with what the action needs, and nothing else.

Run by the Dockerfile, in the official image of Python, once the action's dependencies are installed there.
"""

import argparse
import compileall
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from py_compile import PycInvalidationMode

from tools.image import debian, libraries
from tools.image.modules import Finder, MissingModuleError, every_module, reachable

ROOT = Path(__file__).parents[2]
PACKAGE = "matatika_deploy"
PYTHON = Path(sys.executable)
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
SITE = Path(sysconfig.get_path("purelib"))
BUSYBOX = Path("/bin/busybox")
APPLETS = ["cat", "chmod", "cp", "env", "find", "ls", "mkdir", "mv", "rm", "sh", "sleep", "stat", "tail", "tar"]
"""What runners call inside of an image: https://github.com/actions/runner-container-hooks, GitLab's shell scripts."""
# What nothing in the action comes to, though some import may lead there; what cannot do without goes as well.
LEFT_OUT = (
    "asyncio",  # for tenacity's coroutines: the action has none
    "charset_normalizer",  # for texts of an unknown encoding: see runtime/bootstrap.py
    "multiprocessing",  # for pools of processes: the action starts none
    "_multibytecodec",  # for the encodings of East Asia: the platform and YAML have UTF-8 and UTF-16
)
ENTRY_POINT = """\
#!{python} -Iu
from matatika_deploy.runtime.bootstrap import run
run("matatika_deploy.{module}")
"""
CONFIGURATION = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class Image:
    """The folder that is filled."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, file: Path) -> Path:
        """Give the place of a file of this machine, whose folder is made."""
        place = self._root / file.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def copy(self, file: Path) -> Path:
        """Copy a file, with the links that lead to it; gives the file's own path on this machine."""
        here = Path("/")
        for index, part in enumerate(file.parts[1:], start=2):
            here /= part
            if here.is_symlink():
                link = self.path(here)
                if not link.is_symlink():
                    link.symlink_to(here.readlink())
                return self.copy(Path(os.path.normpath(here.parent / here.readlink() / Path(*file.parts[index:]))))
        shutil.copy2(here, self.path(here))
        return here

    def write(self, name: str, content: str, mode: int = 0o644) -> None:
        """Write a file of the image's own."""
        file = self.path(Path("/", name))
        file.write_text(content, encoding="utf-8")
        file.chmod(mode)


def modules() -> list[Path]:
    """Give the files of the modules that the action and the interpreter can import."""
    finder = Finder([STANDARD_LIBRARY, Path(sysconfig.get_config_var("DESTSHARED")), SITE], LEFT_OUT)
    command = [sys.executable, "-I", "-c", "import sys; print(*sys.modules.keys() - {'__main__'})"]
    at_start = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    found = reachable(finder, every_module(finder, PACKAGE), at_start)
    return [module.file for module in found.values() if module.file]


def add_modules(image: Image, files: Iterable[Path]) -> None:
    """Add modules: compiled ones, and of the others the bytecode alone, without docstrings.

    Without a source beside it, bytecode is not checked against the source's time stamp.
    """
    copies = [image.path(image.copy(file)) for file in files]
    compiled = compileall.compile_dir(
        image.path(STANDARD_LIBRARY),
        quiet=1,
        legacy=True,
        optimize=2,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        stripdir=image.path(Path("/")),
        prependdir="/",
    )
    if not compiled:
        raise MissingModuleError("One of the modules cannot be compiled.")
    for file in copies:
        if file.suffix == ".py":
            file.unlink()


def add_distributions(image: Image, modules: Iterable[Path]) -> None:
    """Add what packages have beside modules: the data that they read, their metadata, their licences."""
    folders = {file.parent for file in modules if SITE in file.parents}
    for distribution in distributions(path=[str(SITE)]):
        files = [Path(str(file.locate())) for file in distribution.files or ()]
        if folders.isdisjoint(file.parent for file in files):
            continue
        for file in files:
            is_data = file.parent in folders and file.suffix not in (".py", ".pyc", ".pyi", ".pyx", ".so", ".typed")
            if is_data or file.name == "METADATA" or "licenses" in file.parts:
                image.copy(file)


def add_own_metadata(image: Image) -> None:
    """Add the metadata and the licence that an installation of the action would have: scanners read them.

    Reference: https://packaging.python.org/specifications/core-metadata/
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = runpy.run_path(str(SITE / PACKAGE / "version.py"))["__version__"]
    folder = f"{SITE.relative_to('/')}/{project['name'].replace('-', '_')}-{version}.dist-info"
    fields = [
        ("Metadata-Version", "2.4"),
        ("Name", project["name"]),
        ("Version", version),
        ("Summary", project["description"]),
        ("License-Expression", project["license"]),
        ("License-File", "LICENSE"),
        ("Requires-Python", project["requires-python"]),
        *(("Requires-Dist", requirement) for requirement in project["dependencies"]),
    ]
    image.write(f"{folder}/METADATA", "".join(f"{name}: {value}\n" for name, value in fields))
    image.write(f"{folder}/licenses/LICENSE", (ROOT / "LICENSE").read_text(encoding="utf-8"))


def add_libraries(image: Image, programs: Iterable[Path]) -> set[Path]:
    """Add the shared libraries that programs load; gives those that Debian's packages own.

    A link to each lies where the interpreter's own path leads, which the loader searches before LD_LIBRARY_PATH.
    """
    own_folder = Path(sysconfig.get_config_var("LIBDIR"))
    owned = set()
    for library in sorted(libraries.libraries(programs)):
        file = image.copy(Path(os.path.normpath(library)))
        if file.parent != own_folder:
            image.path(own_folder / library.name).symlink_to(file)
            owned.add(file)
    return owned


def add_packages(image: Image, files: Iterable[Path]) -> None:
    """Add the records and licences of the Debian packages that own files, where scanners look for them.

    Reference: https://github.com/GoogleContainerTools/distroless#debian-package-metadata
    """
    texts = debian.licences(debian.packages(files))
    common = {image.copy(file) for text in texts.values() for file in debian.common_licences(text)}
    owners = debian.packages([*files, *common])
    texts |= debian.licences(owners.keys() - texts.keys())
    for package, owned in owners.items():
        name = package.partition(":")[0]
        image.write(f"var/lib/dpkg/status.d/{name}", debian.record(package))
        image.write(f"var/lib/dpkg/status.d/{name}.md5sums", debian.checksums(package, owned))
        image.write(f"{debian.DOCUMENTS.relative_to('/')}/{name}/copyright", texts[package])


def add_busybox(image: Image) -> Path:
    """Add the programs that runners call, which the action itself does not; gives the file that they all are."""
    busybox = image.copy(BUSYBOX)
    for applet in APPLETS:
        image.path(busybox.with_name(applet)).symlink_to(busybox.name)
    return busybox


def main(root: Path) -> None:
    """Fill the folder."""
    image = Image(root)
    shutil.copytree(ROOT / "src" / PACKAGE, SITE / PACKAGE)
    files = modules()
    add_modules(image, files)
    add_distributions(image, files)
    add_own_metadata(image)
    image.copy(STANDARD_LIBRARY / "LICENSE.txt")
    programs = [image.copy(PYTHON), *(file for file in files if file.suffix != ".py")]
    libraries_of_debian = add_libraries(image, programs)
    for program in programs:
        libraries.strip(image.path(program))
    libraries.search_own_path_first(image.path(programs[0]))
    add_packages(image, {*libraries_of_debian, add_busybox(image), image.copy(Path("/etc/os-release"))})
    for name, content in CONFIGURATION.items():
        image.write(name, content)
    for module in ("main", "post"):
        image.write(f"opt/action/{module}", ENTRY_POINT.format(python=programs[0], module=module), mode=0o755)
    temporary = image.path(Path("/", "tmp"))
    temporary.mkdir()
    temporary.chmod(0o1777)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=__doc__)
    parser.add_argument("root", type=Path, help="the folder, which must not exist")
    try:
        main(parser.parse_args().root)
    except (MissingModuleError, libraries.MissingLibraryError, debian.UnknownFileError) as error:
        sys.exit(f"The image cannot be built: {error}")
