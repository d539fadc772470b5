"""Fingerprint of the code that a command really runs: which edits can change its results.

A fingerprint covers every top-level definition that a module's code can reach: by name, through imports, through
the tables of ``registry.py`` (of which only the chosen entries count), and every shipped data file or template
whose name stands in that code. Comments, docstrings, line breaks, type-checking imports and definitions that
nothing reaches do not count, nor does the module in which a definition stands. Definitions that are left out by name,
because they cannot change a result, do not count either. The fingerprint is the same for every version of Python that
reads the code alike.

What it cannot see: packages of others, and names that are put together at run time. The package therefore looks
code up by tables only, which ``tests/pipeline/test_fingerprint.py`` checks by comparing with what really runs.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# Top-level dictionaries of references, as ``module:NAME``; the value of a choice are the entries that count.
Choice = Mapping[str, Collection[str]]
# A statement of a module: the module's name, and the name that it defines or the number of a nameless statement.
Node = tuple[str, str | int]

# Rounds after which two definitions with the same text are told apart by what they reach, at most.
_ROUNDS = 12
# Shipped files that may name others.
_TEMPLATES = (".html", ".j2", ".css", ".js")


class Fingerprints:
    """The source of one package, read when asked for.

    Args:
        root: Folder of the package.
        left_out: Definitions that do not count, nor what only they reach, as ``module:name``. Who names them has
            made sure that they cannot change a result. The code that calls them counts.

    Raises:
        ValueError: If one of them does not exist.
    """

    def __init__(self, root: Path, left_out: Iterable[str] = ()) -> None:
        self.root = root
        self.package = root.name
        self._modules: dict[str, _Module | None] = {}
        self._left_out: set[Node] = set()
        for reference in left_out:
            module, _, name = reference.partition(":")
            if name not in self._defined(module):
                raise ValueError(f"left out is {reference}, which does not exist")
            self._left_out.add((module, name))

    def add_script(self, file: Path) -> str:
        """Take a script outside of the package in; returns the name by which the other methods know it.

        Every statement of it counts. Modules that lie beside it, which a script imports by their bare names, count as
        those of the package do.
        """
        name = f"{file.stem}, a script in {file.parent}"
        self._modules[name] = _Module(name, self, file, is_script=True, beside=file.parent)
        return name

    def of(self, module: str, choice: Choice | None = None, start: Sequence[str] = ()) -> str:
        """The fingerprint of running a module as a command, or of calling functions of it.

        Args:
            module: Its name, such as ``presence_only.pipeline.train``.
            choice: Entries that count, for tables of references; of a table that is not named, all count.
            start: Functions of the module that are called from elsewhere.

        Returns:
            16 hex digits.

        Raises:
            ValueError: If a module, a definition or a chosen entry does not exist, or code is imported by ``*``.
        """
        reach = self._closure(module, choice or {}, start)
        colours = {node: _digest(text) for node, (text, _) in reach.items()}
        for _ in range(_ROUNDS):
            before = len(set(colours.values()))
            colours = {
                node: _digest(text, *sorted(f"{name} {colours[to]}" for name, to in edges))
                for node, (text, edges) in reach.items()
            }
            if len(set(colours.values())) == before:
                break
        return _digest(*sorted(colours.values()), *self._data(text for text, _ in reach.values()))

    def reached(self, module: str, choice: Choice | None = None, start: Sequence[str] = ()) -> set[tuple[str, str]]:
        """The definitions that the fingerprint of a command covers, as (module, name)."""
        return {(where, name) for where, name in self._closure(module, choice or {}, start) if isinstance(name, str)}

    def _closure(
        self, module: str, choice: Choice, start: Sequence[str]
    ) -> dict[Node, tuple[str, list[tuple[str, Node]]]]:
        """Every statement that a command reaches: its text, and the statements that each name in it stands for."""
        found: dict[Node, tuple[str, list[tuple[str, Node]]]] = {}
        imported: set[str] = set()
        todo: list[Node] = []

        def run(name: str) -> None:
            """Add what importing a module executes beside definitions, there and in all that it imports."""
            if name in imported:
                return
            imported.add(name)
            source = self._module(name)
            if source is None:
                return
            todo.extend((name, number) for number in source.loose)
            for further in source.imports:
                run(further)

        run(module)
        if self._module(module) is None:
            raise ValueError(f"{module}: there is no such module in {self.root}")
        todo += self._find(module, start)
        while todo:
            node = todo.pop()
            if node in found:
                continue
            where, name = node
            source = self._module(where)
            assert source is not None
            statement = source.loose[name] if isinstance(name, int) else source.defined[name]
            table = choice.get(f"{where}:{name}")
            if table is not None:
                statement = _entries(statement, table, f"{where}:{name}")
            text, names, references = source.read(statement)
            # Statements without a name act in their order.
            text = f"{name}: {text}" if isinstance(name, int) else text
            edges = [(used, to) for used in names for to in self._targets(where, used)]
            for reference in references:
                target, _, attribute = reference.partition(":")
                run(target)
                wanted = [attribute] if attribute else self._defined(target)
                edges += [(attribute, to) for to in self._find(target, wanted)]
            edges = [(used, to) for used, to in edges if to not in self._left_out]
            found[node] = (text, edges)
            todo.extend(to for _, to in edges)
        return found

    def _targets(self, where: str, name: str) -> list[Node]:
        """The statements that a name of a module stands for; none if it is a built-in or of another package."""
        source = self._module(where)
        assert source is not None
        if name in source.defined:
            return [(where, name)]
        found: list[Node] = []
        for module, attribute in source.bound.get(name, []):
            submodule = f"{module}.{attribute}"
            if attribute is None:
                found += self._find(module, self._defined(module))
            elif attribute not in self._defined(module) and self._module(submodule) is not None:
                found += self._find(submodule, self._defined(submodule))
            else:
                found += self._find(module, [attribute])
        return found

    def _find(self, module: str, names: Collection[str]) -> list[Node]:
        """Definitions of a module, behind imports that only pass them on."""
        found: list[Node] = []
        source = self._module(module)
        if source is None:
            return found
        for name in names:
            targets = self._targets(module, name)
            if not targets and name not in source.bound:
                raise ValueError(f"{module} has no {name!r}")
            found += targets
        return found

    def _defined(self, module: str) -> Collection[str]:
        """Everything that a module defines."""
        source = self._module(module)
        return source.defined if source is not None else ()

    def _module(self, name: str) -> _Module | None:
        """A module of the package; None if the name is of another package, or no module's."""
        if name not in self._modules:
            path = self.root.parent.joinpath(*name.split("."))
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            inside = name.split(".")[0] == self.package
            self._modules[name] = _Module(name, self, file) if inside and file.is_file() else None
        return self._modules[name]

    def _sibling(self, name: str, folder: Path) -> str | None:
        """The name by which a module beside a script is known here; None if there is none."""
        if name == self.package:
            return None
        if (folder / name / "__init__.py").is_file():
            raise ValueError(f"a script in {folder} imports the package {name!r} beside it: must be a module")
        file = folder / f"{name}.py"
        if not file.is_file():
            return None
        known = f"{name}, a module in {folder}"
        if known not in self._modules:
            # Before it is read: two modules may import each other.
            self._modules[known] = None
            self._modules[known] = _Module(known, self, file, beside=folder)
        return known

    def _data(self, texts: Iterator[str]) -> list[str]:
        """Digests of the shipped files that some code names, or that a file named there names in turn."""
        text, named = "\n".join(texts), set[Path]()
        while new := {path for path in self._shipped if path not in named and _quoted(path.name, text)}:
            named |= new
            text = "\n".join(path.read_text(encoding="utf-8") for path in new if path.suffix in _TEMPLATES)
        return [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(named)]

    @cached_property
    def _shipped(self) -> list[Path]:
        """Everything in the package that is no Python."""
        return [p for p in self.root.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".typed")]


@dataclass
class _Module:
    """One module's statements, and what its names stand for."""

    name: str
    owner: Fingerprints
    file: Path
    is_script: bool = False
    # Of a script, and of modules beside one: the folder that holds both.
    beside: Path | None = None
    defined: dict[str, ast.stmt] = field(default_factory=dict)
    bound: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    loose: dict[int, ast.stmt] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    _read: dict[ast.stmt, tuple[str, set[str], set[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.beside is None:
            # Importing a module runs its packages first.
            self.imports.add(self.name.rpartition(".")[0])
        for statement in ast.parse(self.file.read_text(encoding="utf-8")).body:
            if _has_no_effect(statement):
                continue
            # Also the imports inside of functions: they bind names of the module, too many rather than too few.
            for node in ast.walk(statement):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    self._bind(node)
            names = [] if self.is_script else _names_defined(statement)
            if names and not any(name in self.defined for name in names):
                self.defined.update(dict.fromkeys(names, statement))
            elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
                self.loose[len(self.loose)] = statement

    def read(self, statement: ast.stmt) -> tuple[str, set[str], set[str]]:
        """A statement's text, the names in it, and the references to the package's code that stand in it as strings."""
        known = self._read.get(statement)
        if known is None:
            known = self._read[statement] = self._parts(statement)
        return known

    def _parts(self, statement: ast.stmt) -> tuple[str, set[str], set[str]]:
        names: set[str] = set()
        references: set[str] = set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                module = node.value.partition(":")[0]
                if module.startswith(f"{self.owner.package}.") and self.owner._module(module) is not None:
                    references.add(node.value)
        text = _text(statement)
        for reference in references:
            # What a reference leads to counts, not where that stands.
            text = text.replace(reference, reference.partition(":")[2])
        theirs = sorted(f"{name} is {self.outside[name]}" for name in names & self.outside.keys())
        return "; ".join([text, *theirs]), names, references

    def _bind(self, statement: ast.Import | ast.ImportFrom) -> None:
        """Take note of what an import binds."""
        module = (statement.module or "") if isinstance(statement, ast.ImportFrom) else None
        if isinstance(statement, ast.ImportFrom) and statement.level:
            raise ValueError(f"{self.name} imports from '{'.' * statement.level}{module}': must be a full name")
        for alias in statement.names:
            whole = alias.name if module is None else f"{module}.{alias.name}"
            name = alias.asname or (alias.name.split(".")[0] if module is None else alias.name)
            sibling = None if self.beside is None else self.owner._sibling(whole.split(".")[0], self.beside)
            if sibling is None and whole.split(".")[0] != self.owner.package:
                # A name of another package counts by what it is called there.
                self.outside[name] = "; ".join(sorted({whole, *self.outside.get(name, whole).split("; ")}))
                continue
            if alias.name == "*":
                raise ValueError(f"{self.name} imports * from {module}: must name what it uses")
            if sibling is not None:
                self.imports.add(sibling)
                self.bound.setdefault(name, []).append((sibling, None if module is None else alias.name))
                continue
            self.imports |= {whole} if module is None else {module, whole}
            self.bound.setdefault(name, []).append((whole, None) if module is None else (module, alias.name))


def _names_defined(statement: ast.stmt) -> list[str]:
    """What a definition or an assignment to plain names defines; nothing for any other statement."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names = [node for target in targets for node in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [n.id for n in names if isinstance(n, ast.Name)] if all(isinstance(n, ast.Name) for n in names) else []


def _has_no_effect(statement: ast.stmt) -> bool:
    """Whether a nameless statement changes nothing when it is executed."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _entries(statement: ast.stmt, chosen: Collection[str], where: str) -> ast.stmt:
    """A table with nothing but the chosen entries."""
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    if not isinstance(value, ast.Dict):
        raise ValueError(f"{where} is no dictionary")
    pairs = {
        key.value: item for key, item in zip(value.keys, value.values, strict=True) if isinstance(key, ast.Constant)
    }
    missing = sorted(set(chosen) - set(pairs))
    if missing:
        raise ValueError(f"{where} has no entry {missing[0]!r}; known: {', '.join(map(str, pairs))}")
    kept = [ast.Constant(name) for name in sorted(chosen)]
    return ast.Assign([ast.Name("table")], ast.Dict([*kept], [pairs[name] for name in sorted(chosen)]))


def _text(node: object) -> str:
    """Syntax as text, without docstrings, positions and what some version of Python alone writes down."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        # The names that it binds are told with what they stand for.
        return type(node).__name__
    if isinstance(node, ast.AST):
        parts = []
        for name in node._fields:
            value = getattr(node, name, None)
            if name == "body" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                value = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            absent = value is None or value == [] or name in ("ctx", "kind", "type_comment")
            # An absent part is told by its absence, except for the constant None.
            if not absent or (isinstance(node, ast.Constant) and name == "value"):
                parts.append(f"{name}={_text(value)}")
        return f"{type(node).__name__}({', '.join(parts)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return repr(node)


def _quoted(name: str, text: str) -> bool:
    """Whether a file's name ends a word in quotes: ``'page.html'`` or ``"templates/page.html"``."""
    return any(f"{before}{name}{after}" in text for before in "'\"/" for after in "'\"")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
