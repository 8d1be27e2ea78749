"""The modules of the image are found from imports: which ones count, which are left out, and what cannot be."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.image.modules import Finder, MissingModuleError, every_module, reachable


def _found(folder: Path, sources: Mapping[str, str], left_out: tuple[str, ...] = ()) -> set[str]:
    """The modules that a program `own` among the sources can import."""
    for name, source in sources.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    finder = Finder([folder], left_out)
    return set(reachable(finder, every_module(finder, "own"), []))


@pytest.mark.parametrize(
    "source",
    [
        *("import other", "from other import name", "import other.part", "def later():\n    import other"),
        "async def later():\n    class Deep:\n        def method(self):\n            from other import name",
        "if CONDITION:\n    pass\nelse:\n    import other",
        "try:\n    import other\nexcept ImportError:\n    pass",
        "try:\n    import missing\nexcept ImportError:\n    import other",
        "try:\n    pass\nfinally:\n    import other",
        "with context():\n    for one in many:\n        while True:\n            import other",
        "match value:\n    case 1:\n        import other",
        *("import_module('other')", "importlib.import_module('other')", "__import__('other')"),
    ],
)
def test_import_counts_wherever_it_stands(tmp_path: Path, source: str) -> None:
    assert "other" in _found(tmp_path, {"own.py": source, "other/__init__.py": "", "other/part.py": ""})


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import other",
        "if typing.TYPE_CHECKING:\n    import other",
        "if __name__ == '__main__':\n    import other",
        "try:\n    import fast\nexcept ImportError:\n    import other",
        "'import other'",
    ],
)
def test_import_that_is_never_made_does_not_count(tmp_path: Path, source: str) -> None:
    assert _found(tmp_path, {"own.py": source, "other.py": "", "fast.py": ""}) - {"fast"} == {"own"}


RELATIVE = {
    **{"own.py": "import package.deep.one", "package/__init__.py": "", "package/deep/__init__.py": "from . import two"},
    "package/deep/one.py": "from ..beside import name\nfrom .three import *",
    **dict.fromkeys(
        ["package/deep/two.py", "package/deep/three.py", "package/deep/unused.py", "package/beside.py"], ""
    ),
}
COMPUTED = {"own.py": "import codes", "codes/__init__.py": "def get(name):\n    return __import__('codes.' + name)"}
MADE = {"own.py": "import system.path", "system.py": "import sys\nsys.modules['system.path'] = 1"}
NOT_INSTALLED = {
    "own.py": "import library",
    "library/__init__.py": "def speak():\n    from library import proxy",
    "library/proxy.py": "from library import socks",
    "library/socks.py": "try:\n    import missing\nexcept ImportError:\n    warn()\n    raise",
}
LEFT_OUT = {
    **{"own.py": "import library", "library.py": "def later():\n    import loop, more"},
    **{"loop.py": "import often", "often.py": "", "more.py": "import loop"},
}


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        (RELATIVE, "package package.beside package.deep package.deep.one package.deep.two package.deep.three"),
        # A package that computes names has all its modules; one that another module makes is not missing.
        (COMPUTED | {"codes/one.py": "", "codes/two.py": ""}, "codes codes.one codes.two"),
        (MADE, "system sys"),
        # A module that needs what is not installed is left out, and what is left out goes with what needs it.
        *((NOT_INSTALLED, "library"), (LEFT_OUT, "library")),
    ],
)
def test_modules_are_those_that_the_program_can_import(tmp_path: Path, sources: dict[str, str], found: str) -> None:
    assert _found(tmp_path, sources, ("loop",)) == {"own", *found.split()}


def test_program_that_imports_what_is_not_installed_fails(tmp_path: Path) -> None:
    for source, reason in (
        ("import missing", "own.part takes own.part, which needs missing, which is not installed."),
        ("def later():\n    import missing", "own.part takes missing, which is not installed."),
        ("def later():\n    import broken", "own.part takes broken, which needs missing, which is not installed."),
    ):
        with pytest.raises(MissingModuleError) as caught:
            _found(tmp_path, {"own/__init__.py": "", "own/part.py": source, "broken.py": "import missing"})
        assert str(caught.value) == reason
