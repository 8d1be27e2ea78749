"""The house has rooms, and imports go down only: whoever breaks that is told what may be imported where."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "matatika_deploy"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE

STORIES = {"__main__", "main", "post"}
STEP = {"step", "shutdown"}
ROOMS = {"checks", "platform", "github"}
VALUES = {"errors", "findings", "outcome", "text", "version"}
BELOW_THE_STEP = ROOMS | {"runtime"} | VALUES

# For each room or module of the root: what else it may import. A room may always import itself.
MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(STORIES, STORIES | STEP | BELOW_THE_STEP),
    "step": BELOW_THE_STEP,
    "shutdown": {"step"} | BELOW_THE_STEP,
    **dict.fromkeys(ROOMS, {"runtime"} | VALUES),
    "runtime": VALUES,
    **dict.fromkeys(VALUES, VALUES),
    # Parts of these rooms that belong to the step, and stand beside what they are about.
    **dict.fromkeys(("checks.run", "checks.preparation"), {"step"} | BELOW_THE_STEP),
    # Compares the workspace with what GitHub says of the workflow.
    "checks.source": {"github", "runtime"} | VALUES,
    # What a step came to is told by its job.
    "outcome": {"platform"} | VALUES,
}
MOST_MODULES_IN_THE_ROOT = 10
LONGEST_FUNCTION = 50
MOST_ARGUMENTS = 6

MODULES = {
    ".".join((PACKAGE, *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imported(name: str, tree: ast.Module) -> set[str]:
    """The package's modules that a module imports: at its top, within functions, and for type checkers."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            # Of `from a.b import c`, c may be a module.
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(parts & MODULES.keys() or {node.module or ""})
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # By its name, as `importlib` takes it.
            found.add(node.value)
    return found & MODULES.keys() - {name, PACKAGE}


IMPORTS = {name: imported(name, tree) for name, tree in TREES.items()}


def room(module: str) -> str:
    """The room of a module, or its own name if it stands in the root."""
    return module.split(".")[1]


def rule(module: str) -> str:
    """The key of `MAY_IMPORT` that a module is held to: its own, or its room's."""
    own = module.removeprefix(f"{PACKAGE}.")
    return own if own in MAY_IMPORT else room(module)


def test_modules_import_what_their_rooms_may() -> None:
    rules = {name: rule(name) for name in MODULES if name != PACKAGE}
    assert set(rules.values()) == MAY_IMPORT.keys(), "a room that is not known: add it here, with what it may import"
    assert not [
        f"{name} imports {other}, but {mine} may only import {', '.join(sorted(MAY_IMPORT[mine]))}"
        for name, mine in rules.items()
        for other in sorted(IMPORTS[name])
        if room(other) not in MAY_IMPORT[mine] | {room(name)}
    ]


def test_no_import_goes_round_in_a_circle() -> None:
    # Values import nothing that imports them, stories nothing that tells them; between, modules decide.
    TopologicalSorter(IMPORTS).prepare()


def test_root_has_few_modules() -> None:
    modules = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")
    assert len(modules) <= MOST_MODULES_IN_THE_ROOT, f"{len(modules)} modules in the root: {', '.join(modules)}"


def test_no_function_is_long_and_no_class_takes_many_arguments() -> None:
    """Tuples with names are pure data, and not meant."""
    for module, tree in TREES.items():
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
            where = f"{module}.{function.name}, line {function.lineno},"
            lines = (function.end_lineno or 0) - function.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{where} has {lines} lines, more than {LONGEST_FUNCTION}"
            given = function.args
            count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
            assert function.name != "__init__" or count <= MOST_ARGUMENTS, f"{where} takes {count} arguments"


@pytest.mark.parametrize(
    "text",
    [
        "import matatika_deploy.platform.http",
        "from matatika_deploy.platform import http",
        "from matatika_deploy.platform.http import Http",
        "def f():\n    from matatika_deploy.platform.http import Http",
        "if TYPE_CHECKING:\n    from matatika_deploy.platform.http import Http",
        "importlib.import_module('matatika_deploy.platform.http')",
    ],
)
def test_every_kind_of_import_is_seen(text: str) -> None:
    assert imported("matatika_deploy.github.inputs", ast.parse(text)) == {"matatika_deploy.platform.http"}
