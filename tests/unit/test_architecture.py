"""The house has rooms, and imports go down only: whoever breaks that is told what may be imported where."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

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
LONGEST_FUNCTION = 50

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


def test_modules_import_what_their_rooms_may_and_never_in_a_circle() -> None:
    own = {name: name.removeprefix(f"{PACKAGE}.") for name in MODULES if name != PACKAGE}
    rules = {name: key if key in MAY_IMPORT else key.split(".")[0] for name, key in own.items()}
    assert set(rules.values()) == MAY_IMPORT.keys(), "a room that is not known: add it here, with what it may import"
    # Values import nothing that imports them, stories nothing that tells them; between, modules decide.
    TopologicalSorter(IMPORTS).prepare()
    assert not [
        f"{name} imports {other}, but {mine} may only import {', '.join(sorted(MAY_IMPORT[mine]))}"
        for name, mine in rules.items()
        for other in sorted(IMPORTS[name])
        # A room of the house, or a module of its root.
        if other.split(".")[1] not in MAY_IMPORT[mine] | {name.split(".")[1]}
    ]


def test_no_function_is_long() -> None:
    assert not [
        f"{module}.{node.name} has more than {LONGEST_FUNCTION} lines"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
