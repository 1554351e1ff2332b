"""Use a notebook's definitions without running the notebook."""

from pathlib import Path
from types import ModuleType

import nbformat


def load(path, *tags):
    """Execute, in order, the cells of a notebook that carry one of these tags; return what they define, as a module.

    path: a notebook of Python code. Raises KeyError for a tag that no cell carries.
    """
    cells = nbformat.read(path, as_version=4).cells
    for tag in tags:
        if not any(tag in cell.metadata.get("tags", []) for cell in cells):
            raise KeyError(f"{path}: no cell has the tag {tag!r}")
    module = ModuleType(Path(path).stem)
    module.In = [cell.source for cell in cells if cell.cell_type == "code"]  # as in IPython after *Run all*
    for number, cell in enumerate(cells):
        if set(tags) & set(cell.metadata.get("tags", [])):
            exec(compile(cell.source, f"{path}, cell {number}", "exec"), vars(module))
    return module


def defaults(path):
    """The default parameters of a notebook, name to value: its cell tagged `parameters`, executed alone."""
    values = vars(load(path, "parameters"))
    return {name: value for name, value in values.items() if name != "In" and not name.startswith("__")}
