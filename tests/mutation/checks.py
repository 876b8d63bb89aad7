"""Finds the checks of the policy in the program's syntax trees: each a statement that can be taken out by itself.

A check is a place where a refusal is raised, a call of a gate (a function whose name begins with `require_` and that
leads to such a place), or a constant that every lead carries (P15). It belongs to the rule that the refusal names, and
a gate that asks for several rules at once to all of them.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

REFUSAL: Final = "PolicyRefusalError"
CONSTANTS: Final = "LEAD_CONSTANTS"
CONSTANTS_RULE: Final = "P15"
CONSTANTS_GATE: Final = "require_lead_constants"

_RULE: Final = re.compile(r"P\d{2}")

REFUSES_NOTHING: Final = frozenset(
    {"rtcc_bridge/probes/policy_replay.py", "rtcc_bridge/web/galleries.py", "rtcc_bridge/web/pages.py"}
)
"""The first tells what another policy would have said of past searches, the others what a page offers: they read
refusals, and stop nobody."""

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Symbol = tuple[str, str]
"""A function: the dotted name of its module, and its own name, without that of its class."""


class Kind(StrEnum):
    """What is taken out."""

    REFUSAL = "refusal"
    GATE = "gate"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. begin, end: its bytes in the file. instead: what stands there when it is taken out."""

    rules: tuple[str, ...]
    kind: Kind
    path: str
    line: int
    function: str
    what: str
    begin: int
    end: int
    instead: bytes

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.what}"

    def removed_from(self, source: bytes) -> bytes:
        """The file without the check. Lines below keep their numbers, as far as the check stood on one."""
        return source[: self.begin] + self.instead + source[self.end :]


@dataclass
class _Module:
    path: str
    name: str
    source: bytes
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        position = 0
        for line in self.source.splitlines(keepends=True):
            self.starts.append(position)
            position += len(line)
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                self.functions[node.name] = node
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}

    def span(self, first: ast.expr | ast.stmt, last: ast.expr | ast.stmt) -> tuple[int, int]:
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        begin = self.starts[first.lineno - 1] + first.col_offset  # the tree counts columns in bytes of UTF-8
        return begin, self.starts[last.end_lineno - 1] + last.end_col_offset


def find_checks(root: Path, package: str = "rtcc_bridge") -> list[Check]:
    """Every check of the package below root, by rule and place."""
    modules = {module.name: module for module in _modules(root, package)}
    rules = _Rules(modules)
    found = [
        check
        for module in modules.values()
        if module.path not in REFUSES_NOTHING
        for check in (*_statements(module, rules), *_constants(module))
    ]
    return sorted(found, key=lambda check: (check.rules, check.path, check.begin))


def _modules(root: Path, package: str) -> Iterator[_Module]:
    for file in sorted((root / package).rglob("*.py")):
        path = file.relative_to(root)
        source = file.read_bytes()
        yield _Module(path.as_posix(), ".".join(path.with_suffix("").parts), source, ast.parse(source, str(path)))


class _Rules:
    """Which rules a raised error, or a call, stands for."""

    def __init__(self, modules: Mapping[str, _Module]) -> None:
        self._modules = modules
        self._own = _kinds_of_refusals(modules.values())
        self._known: dict[Symbol, frozenset[str]] = {}

    def raised(self, module: _Module, node: ast.Raise) -> frozenset[str]:
        """A refusal that is made here, or by a function that is declared to make one."""
        if not isinstance(node.exc, ast.Call):
            return frozenset()
        if _name(node.exc.func) in self._own:
            return self._named(node.exc)
        symbol = self._symbol(module, node.exc.func)
        made = None if symbol is None else self._modules[symbol[0]].functions[symbol[1]]
        if made is None or made.returns is None or _name(made.returns) not in self._own:
            return frozenset()
        calls = (call for call in _walk(made, ast.Call) if _name(call.func) in self._own)
        return frozenset[str]().union(*(self._named(call) for call in calls))

    def _named(self, call: ast.Call) -> frozenset[str]:
        """The rule of a refusal that is made: named where it is made, or by its kind, which is always of one."""
        return _rule_named(call) or self._own[_name(call.func)]

    def gate(self, module: _Module, call: ast.Call) -> frozenset[str]:
        """The rules of a function that is named as a gate; none for every other one."""
        symbol = self._symbol(module, call.func)
        if symbol is None or not symbol[1].lstrip("_").startswith("require_"):
            return frozenset()
        return self._of(symbol)

    def _of(self, symbol: Symbol) -> frozenset[str]:
        if symbol[1] == CONSTANTS_GATE:
            return frozenset({CONSTANTS_RULE})
        if symbol not in self._known:
            self._known[symbol] = frozenset()  # while it is looked for: a gate that calls itself adds nothing
            module = self._modules[symbol[0]]
            body = module.functions[symbol[1]]
            raised = [self.raised(module, node) for node in _walk(body, ast.Raise)]
            asked = [self.gate(module, node) for node in _walk(body, ast.Call)]
            self._known[symbol] = frozenset[str]().union(*raised, *asked)
        return self._known[symbol]

    def _symbol(self, module: _Module, func: ast.expr) -> Symbol | None:
        """The function of this program that is called, as far as the tree tells: of a method its name has to do."""
        name = _name(func)
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in module.imports:
            named = ".".join(module.imports[func.value.id])
            return (named, name) if named in self._modules and name in self._modules[named].functions else None
        if name in module.functions:
            return module.name, name
        if isinstance(func, ast.Name):
            home, original = module.imports.get(name, ("", ""))
            return (home, original) if home in self._modules and original in self._modules[home].functions else None
        homes = [other.name for other in self._modules.values() if name in other.functions]
        return (homes[0], name) if len(homes) == 1 else None


def _kinds_of_refusals(modules: Iterable[_Module]) -> dict[str, frozenset[str]]:
    """The classes of refusals, and of each the rule that it names itself; none where whoever makes it does."""
    classes = [node for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    found = {REFUSAL: frozenset[str]()}
    while more := [
        node for node in classes if node.name not in found and any(_name(base) in found for base in node.bases)
    ]:
        for node in more:
            found[node.name] = frozenset[str]().union(*(_rule_named(call) for call in _walk(node, ast.Call)))
    return found


def _statements(module: _Module, rules: _Rules) -> Iterator[Check]:
    """The refusals and the calls of gates that are statements of their own."""
    for function, node in _in_functions(module.tree, ""):
        found: frozenset[str] = frozenset()
        kind = Kind.REFUSAL
        if isinstance(node, ast.Raise):
            in_gate = function.rsplit(".", 1)[-1] == CONSTANTS_GATE
            found = frozenset({CONSTANTS_RULE}) if in_gate else rules.raised(module, node)
        elif isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(value, ast.Call):
                kind, found = Kind.GATE, rules.gate(module, value)
        begin, end = module.span(node, node)
        if found:
            what = _first_words(module.source[begin:end])
            yield Check(tuple(sorted(found)), kind, module.path, node.lineno, function, what, begin, end, b"pass")


def _constants(module: _Module) -> Iterator[Check]:
    """What every lead carries, one by one."""
    for node in module.tree.body:
        if not (isinstance(node, ast.AnnAssign) and _name(node.target) == CONSTANTS and node.value is not None):
            continue
        for fixed in _walk(node.value, ast.Dict):
            for key, value in zip(fixed.keys, fixed.values, strict=True):
                if key is None:
                    continue
                begin, end = module.span(key, value)
                what = _first_words(module.source[begin:end])
                rules, kind = (CONSTANTS_RULE,), Kind.CONSTANT
                yield Check(rules, kind, module.path, key.lineno, CONSTANTS, what, begin, end, b"**{}")


def _in_functions(node: ast.AST, function: str) -> Iterator[tuple[str, ast.stmt]]:
    """Every statement, with the dotted name of the class and function that it stands in."""
    for child in ast.iter_child_nodes(node):
        inner = function
        if isinstance(child, Function | ast.ClassDef):
            inner = f"{function}.{child.name}" if function else child.name
        elif isinstance(child, ast.stmt):
            yield function, child
        yield from _in_functions(child, inner)


def _walk(root: ast.AST, kind: type[Node]) -> Iterator[Node]:
    return (node for node in ast.walk(root) if isinstance(node, kind))


def _rule_named(call: ast.Call) -> frozenset[str]:
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and _RULE.fullmatch(first.value):
        return frozenset({first.value})
    return frozenset()


def _name(node: ast.expr) -> str:
    """The last part of a dotted name; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _first_words(source: bytes) -> str:
    text = " ".join(source.decode().split())
    return text if len(text) <= 72 else f"{text[:70]} …"
