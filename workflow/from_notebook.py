"""Take functions out of a notebook without running the notebook."""

import ast
import dis
from pathlib import Path
from types import CodeType, SimpleNamespace

import nbformat


def load(path, *names):
    """Execute only the definitions of `names` in a notebook, and what those need; return them as attributes.

    path: a notebook of Python code. names: functions, classes, imports or constants at a cell's top level.
    What else the notebook does (training, figures) is not executed. Raises KeyError for a name that is not defined.
    """
    bindings, wanted, chosen = _bindings(path), list(names), {}
    while wanted:
        name = wanted.pop()
        if name in names and name not in bindings:
            raise KeyError(f"{path} defines no {name}")
        if name in bindings and name not in chosen:
            chosen[name] = bindings[name]
            wanted += _names_loaded(compile(ast.Module([chosen[name]], []), str(path), "exec"))
    statements = sorted({id(s): s for s in chosen.values()}.values(), key=lambda s: s.position)
    namespace = {"__name__": Path(path).stem}
    exec(compile(ast.Module(statements, []), str(path), "exec"), namespace)
    return SimpleNamespace(**{name: namespace[name] for name in names})


def parameters(path):
    """The default parameters of a notebook, name to value: its cell tagged `parameters`, executed alone."""
    cells = [cell for cell in nbformat.read(path, 4).cells if "parameters" in cell.metadata.get("tags", [])]
    namespace = {}
    exec(cells[0].source, {}, namespace)
    return namespace


def _bindings(path):
    """The statement that first binds each top-level name of a notebook: imports, definitions, assignments."""
    bindings, position = {}, 0
    for cell in nbformat.read(path, 4).cells:
        for statement in ast.parse(cell.source).body if cell.cell_type == "code" else []:
            statement.position = position = position + 1
            for name in _names_bound(statement):
                bindings.setdefault(name, statement)
    return bindings


def _names_bound(statement):
    """The names that one statement binds."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in statement.names]
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return []


def _names_loaded(code):
    """The global names that compiled code reads, inner functions and classes included."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_NAME", "LOAD_GLOBAL")}
    return names.union(*(_names_loaded(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
