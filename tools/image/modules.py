"""Which modules a program can import: found from the import statements of its source, the lazy ones included."""

import ast
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    BuiltinImporter,
    ExtensionFileLoader,
    FileFinder,
    FrozenImporter,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from typing import NamedTuple

_PROVIDED = re.compile(rb"""\bmodules\[['"]([\w.]+)['"]\] = """)
_KINDS = ("required", "lazy", "optional")
# What an `except` has to name for the import above it to be an optional one.
_CATCHES_IMPORT_ERROR = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class MissingModuleError(Exception):
    """A module that the program imports is not installed."""


class Imports(NamedTuple):
    """The names that one module imports: modules, or what a `from` import takes from one."""

    required: frozenset[str]
    """Without these the module itself cannot be imported."""
    lazy: frozenset[str]
    """Imported later, or on a condition: in a function or below an `if`."""
    optional: frozenset[str]
    """Inside of a `try` that expects them to be missing."""
    provided: frozenset[str] = frozenset()
    """Modules that it puts into `sys.modules` itself, as `os` does with `os.path`."""
    computes_names: bool = False
    """Whether it imports modules by names that it puts together while it runs."""


def scan(source: bytes, package: str, exists: Callable[[str], bool]) -> Imports:
    """Give what a module's source imports.

    `package` is the package that relative imports start from; `exists` tells whether a module is installed.
    """
    tree = ast.parse(source)
    found: dict[str, set[str]] = {kind: set() for kind in (*_KINDS, "provided")}
    for kind, name in _Statements(package, exists).imports(tree.body, "required"):
        found[kind].add(name)
    computes_names = False
    # All of a tree is looked through only where it is worth the time.
    if b"import_module" in source or b"__import__" in source:
        for name in _imported_by_calls(tree):
            found["lazy"] |= {name} - {""}
            computes_names |= not name
    if b"modules[" in source:
        found["provided"] |= {name.decode() for name in _PROVIDED.findall(source)}
    return Imports(**{kind: frozenset(names) for kind, names in found.items()}, computes_names=computes_names)


class _Statements(NamedTuple):
    """Reads the import statements of one module; the arguments are those of `scan`."""

    package: str
    exists: Callable[[str], bool]

    def imports(self, nodes: Iterable[ast.AST], kind: str) -> Iterator[tuple[str, str]]:
        """Give every name that statements import, and whether it is required, lazy or optional."""
        for node in nodes:
            match node:
                case ast.Import(names=aliases):
                    yield from ((kind, alias.name) for alias in aliases)
                case ast.ImportFrom(names=aliases):
                    base = self._base(node)
                    yield kind, base
                    names = [f"{base}.{alias.name}" for alias in aliases]
                    # The others are what the module defines.
                    yield from ((kind, name) for name in names if self.exists(name))
                case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
                    yield from self.imports(body, _weaker(kind, "lazy"))
                case ast.If():
                    if not _never_holds(node.test):
                        yield from self.imports(node.body, _weaker(kind, "lazy"))
                    yield from self.imports(node.orelse, _weaker(kind, "lazy"))
                case ast.Try() | ast.TryStar():
                    yield from self._of_try(node, kind)
                case ast.stmt() | ast.match_case():
                    for field in ("body", "orelse", "cases"):
                        yield from self.imports(getattr(node, field, ()), kind)

    def _of_try(self, node: ast.Try | ast.TryStar, kind: str) -> Iterator[tuple[str, str]]:
        caught = {
            name
            for handler in node.handlers
            if not isinstance(handler.body[-1], ast.Raise)
            for name in _exceptions(handler.type)
        }
        is_expected = not caught.isdisjoint(_CATCHES_IMPORT_ERROR)
        tried = list(self.imports(node.body, _weaker(kind, "optional") if is_expected else kind))
        yield from tried
        rest = [*node.orelse, *node.finalbody]
        yield from self.imports(rest, _weaker(kind, "lazy") if is_expected else kind)
        # What stands in for a compiled module, say, is not needed beside it.
        if not is_expected or not all(self.exists(name) for _, name in tried):
            for handler in node.handlers:
                yield from self.imports(handler.body, _weaker(kind, "lazy"))

    def _base(self, node: ast.ImportFrom) -> str:
        above = self.package.split(".")[: self.package.count(".") + 2 - node.level] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])


def _never_holds(test: ast.expr) -> bool:
    """Whether a condition is for type checkers, or for `python FILE`."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
            return True
    return False


def _weaker(one: str, other: str) -> str:
    return max(one, other, key=_KINDS.index)


def _exceptions(caught: ast.expr | None) -> Iterator[str]:
    """Give the names of the exceptions that an `except` catches; a bare one catches all."""
    match caught:
        case None:
            yield "BaseException"
        case ast.Tuple(elts=several):
            for one in several:
                yield from _exceptions(one)
        case ast.Name(id=name):
            yield name


def _imported_by_calls(tree: ast.Module) -> Iterator[str]:
    """Give the names in calls of `__import__` and `import_module`, "" for one that is computed."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[name, *_]):
                if called in ("__import__", "import_module"):
                    is_absolute = isinstance(name, ast.Constant) and not str(name.value).startswith(".")
                    yield str(name.value) if isinstance(name, ast.Constant) and is_absolute else ""


class Module(NamedTuple):
    """A module that was found."""

    name: str
    file: Path | None
    """Its source or its compiled file; None if the interpreter has it built in, or for a folder without `__init__`."""
    folders: tuple[Path, ...] = ()
    """Where a package's submodules lie."""


class _Finders(dict[Path, FileFinder]):
    """The import system's own finder for each folder, made when it is first needed."""

    def __missing__(self, folder: Path) -> FileFinder:
        kinds = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES))
        return self.setdefault(folder, FileFinder(str(folder), *kinds))


class Finder:
    """Finds modules by name, and reads each once."""

    def __init__(self, path: Iterable[Path], left_out: Iterable[str] = ()) -> None:
        """`path` is where modules lie; what is to be `left_out` counts as not installed."""
        self._path = tuple(path)
        self._finders = _Finders()
        self._found: dict[str, Module | None] = dict.fromkeys(left_out)
        self._imports: dict[str, Imports] = {}

    def find(self, name: str) -> Module | None:
        """Give the module of that dotted name, or None if there is none."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def imports(self, module: Module) -> Imports:
        """Give what a module imports; nothing is known of compiled ones."""
        if module.name not in self._imports:
            package = module.name if module.folders else module.name.rpartition(".")[0]
            is_source = module.file is not None and module.file.suffix == ".py"
            source = module.file.read_bytes() if module.file and is_source else b""
            self._imports[module.name] = scan(source, package, lambda name: self.find(name) is not None)
        return self._imports[module.name]

    def lacks(self, name: str) -> bool:
        """Whether an import of that name fails."""
        parent = self.find(name.rpartition(".")[0])
        return self.find(name) is None and not (parent and name in self.imports(parent).provided)

    def submodules(self, package: Module) -> Iterator[str]:
        """Give the names of all modules right below a package."""
        for folder in package.folders:
            for file in sorted(folder.iterdir()):
                stem = file.name.partition(".")[0]
                if stem.isidentifier() and stem != "__init__" and self.find(f"{package.name}.{stem}"):
                    yield f"{package.name}.{stem}"

    def _find(self, name: str) -> Module | None:
        parent, _, _ = name.rpartition(".")
        path = self._path
        if parent:
            package = self.find(parent)
            path = package.folders if package else ()
        for folder in path:
            if (spec := self._finders[folder].find_spec(name)) and (module := _module(name, spec)):
                return module
        built_in = not parent and (BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name))
        return Module(name, None) if built_in else None


def _module(name: str, spec: ModuleSpec) -> Module | None:
    folders = tuple(map(Path, spec.submodule_search_locations or ()))
    if spec.origin is None and not any(file for folder in folders for file in folder.glob("**/*.py")):
        # A folder without modules is some package's data.
        return None
    return Module(name, Path(spec.origin) if spec.origin else None, folders)


def every_module(finder: Finder, package: str) -> Iterator[str]:
    """Give the names of a package and of all that is below it."""
    yield package
    module = finder.find(package)
    for name in finder.submodules(module) if module else ():
        yield from every_module(finder, name)


def reachable(finder: Finder, own: Iterable[str], interpreter: Iterable[str]) -> dict[str, Module]:
    """Give every module that can be imported, by name: from the program's own modules on, and from those that the
    interpreter imports at its start, without what it imports for people who type.

    Left out is what cannot be imported here: what is for another system, or takes an extra that is not installed.

    Raises:
        MissingModuleError: if one of them is not there, or the program imports what is not, be it only on a condition.
    """
    own = set(own)
    interpreter = list(interpreter)
    search = _Search(finder)
    broken = search.broken(search.closure(own, ()) | search.closure(interpreter, (), only_required=True))
    for name in [*own, *interpreter]:
        module = finder.find(name)
        needed = {name, *(finder.imports(module).lazy if module and name in own else ())}
        if missing := sorted(one for one in needed if one in broken or finder.lacks(one)):
            reason = broken.get(missing[0], "which is not installed")
            raise MissingModuleError(f"{name} takes {missing[0]}, {reason}.")
    return search.closure(interpreter, broken, only_required=True) | search.closure(own, broken)


class _Search(NamedTuple):
    """Follows imports."""

    finder: Finder

    def closure(
        self, roots: Iterable[str], broken: Container[str], *, only_required: bool = False
    ) -> dict[str, Module]:
        """Give every module that can be imported from `roots` on."""
        found: dict[str, Module] = {}
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            module = self.finder.find(name)
            if module is None or name in found or name in broken:
                continue
            found[name] = module
            imports = self.finder.imports(module)
            names = imports.required if only_required else imports.required | imports.lazy | imports.optional
            if imports.computes_names and module.folders and not only_required:
                names |= set(self.finder.submodules(module))
            waiting += [parent for one in {name, *names} for parent in (one, *_parents(one))]
        return found

    def broken(self, modules: Mapping[str, Module]) -> dict[str, str]:
        """Give the modules that cannot be imported here, and what each of them lacks."""
        broken: dict[str, str] = {}
        known = -1
        while known != len(broken):
            known = len(broken)
            for name in modules.keys() - broken.keys():
                for needed in {*self.finder.imports(modules[name]).required, *_parents(name)}:
                    if needed in broken:
                        broken[name] = f"which needs {needed}, {broken[needed]}"
                    elif self.finder.lacks(needed):
                        broken[name] = f"which needs {needed}, which is not installed"
        return broken


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name
