"""The house has rooms, and imports go down only: whoever breaks that is told what may be imported where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "matatika_deploy"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE

STORIES = {"__main__", "main", "post"}
STEP = {"step", "shutdown"}
ROOMS = {"checks", "platform", "github"}
VALUES = {"errors", "findings", "outcome", "text", "version"}

# For each room or module of the root: what else it may import. A room may always import itself.
MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(STORIES, STORIES | STEP | ROOMS | {"runtime"} | VALUES),
    "step": ROOMS | {"runtime"} | VALUES,
    "shutdown": {"step"} | ROOMS | {"runtime"} | VALUES,
    "checks": {"runtime"} | VALUES,
    "platform": {"runtime"} | VALUES,
    "github": {"runtime"} | VALUES,
    "runtime": set(VALUES),
    **dict.fromkeys(VALUES, VALUES),
    # Parts of these rooms that belong to the step, and stand beside what they are about.
    **dict.fromkeys(("checks.run", "checks.preparation"), {"step"} | ROOMS | {"runtime"} | VALUES),
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
            found.update(
                {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys() or {node.module or ""}
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in MODULES:
            # By its name, as `importlib` takes it.
            found.add(node.value)
    return {module for module in found if module in MODULES and module not in (name, PACKAGE)}


IMPORTS = {name: imported(name, tree) for name, tree in TREES.items()}


def room(module: str) -> str:
    """The room of a module, or its own name if it stands in the root."""
    return module.split(".")[1]


def rule(module: str) -> str:
    """The key of `MAY_IMPORT` that a module is held to: its own, or its room's."""
    own = module.removeprefix(f"{PACKAGE}.")
    return own if own in MAY_IMPORT else room(module)


@pytest.mark.parametrize("name", [name for name in MODULES if name != PACKAGE])
def test_module_imports_what_its_room_may(name: str) -> None:
    mine = rule(name)
    assert mine in MAY_IMPORT, f"{name} is in a room that is not known: add it here, with what it may import"
    for other in sorted(IMPORTS[name]):
        assert room(other) in MAY_IMPORT[mine] | {room(name)}, (
            f"{name} imports {other}, but {mine} may only import {', '.join(sorted(MAY_IMPORT[mine]))}"
        )


def test_no_import_goes_round_in_a_circle() -> None:
    # Values import nothing that imports them, stories nothing that tells them; between, modules decide.
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, f"{' imports '.join([*path[path.index(module) :], module])}: that is a circle"
        if module not in done:
            for other in sorted(IMPORTS[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


def test_root_has_few_modules() -> None:
    modules = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")
    assert len(modules) <= MOST_MODULES_IN_THE_ROOT, f"{len(modules)} modules in the root: {', '.join(modules)}"
    assert {rule(name) for name in MODULES if name != PACKAGE} == MAY_IMPORT.keys()


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("name", MODULES)
def test_no_function_is_long(name: str) -> None:
    for function in _functions(TREES[name]):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= LONGEST_FUNCTION, f"{name}.{function.name} has {lines} lines, more than {LONGEST_FUNCTION}"


@pytest.mark.parametrize("name", MODULES)
def test_no_class_takes_many_arguments(name: str) -> None:
    """Tuples with names are pure data, and not meant."""
    for node in [node for node in ast.walk(TREES[name]) if isinstance(node, ast.ClassDef)]:
        for function in _functions(node):
            if function.name == "__init__":
                given = function.args
                count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                assert count <= MOST_ARGUMENTS, f"{name}.{node.name} takes {count} arguments"


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
