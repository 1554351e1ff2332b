"""The files as they lie there: notebooks, parameter files, pins, the paper's data. Fast: nothing is trained."""

import ast
import itertools
import json
import re
import typing

import nbformat
import pandas as pd
import pytest
import yaml
from conftest import MASTER, PROJECT
from packaging.requirements import Requirement

import address
import from_notebook
import study

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
# what a Colab runtime has, of what these notebooks use; keras' backends are imported only when chosen
COLAB = {
    "IPython", "jax", "keras", "matplotlib", "nbformat", "numpy", "pandas", "psutil", "pydantic", "scipy", "sklearn", "statsmodels",
    "tensorflow", "torch", "yaml",
}
OURS = {path.stem for path in (PROJECT / "workflow").glob("*.py")}  # these need the whole project beside the notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean_and_readable(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    lines = [[line for line in cell.source.splitlines() if line.strip()] for cell in code]
    assert max(map(len, lines)) <= 30, "a code cell that does not fit on a screen"
    wide = [line for cell in lines for line in cell if len(line) > 100 and "# @param" not in line]
    assert not wide, "lines that scroll sideways"
    assert [cell.metadata.get("tags") for cell in code].count(["parameters"]) == 1
    assert notebook.cells[0].source.startswith("# ")
    for node in itertools.chain.from_iterable(ast.walk(ast.parse(cell.source)) for cell in code):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_needs_only_what_colab_has(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    import sys

    assert imported - set(sys.stdlib_module_names) <= COLAB | OURS
    assert path.stem != "summary" or not imported & {"keras", "tensorflow", "jax", "torch"}


def test_badges_and_addresses_are_those_of_citation_cff(monkeypatch):
    monkeypatch.chdir(PROJECT)
    here, elsewhere = address.address(), "https://github.com/some-one/a.fork"
    for path in address.files():
        text = path.read_text(encoding="utf-8")
        assert address.stamped(text, here) == text, f"{path}: run python workflow/address.py"
        assert address.stamped(address.stamped(text, elsewhere), here) == text
        assert here.removeprefix("https://github.com/") not in address.stamped(text, elsewhere)
        for badge in address.BADGE.finditer(text):
            assert (PROJECT / badge[3]).exists()
            assert path.suffix != ".ipynb" or badge[3] == path.as_posix()


def test_notebooks_with_a_badge_find_the_project_on_their_own(monkeypatch):
    monkeypatch.chdir(PROJECT)
    cells, badges = {}, set()
    for path in NOTEBOOKS:
        source = path.read_text(encoding="utf-8")
        badges |= {path.stem} if address.BADGE.search(source) else set()
        found = [c.source for c in nbformat.read(path, 4).cells if "def find_project" in c.source]
        cells |= {path.stem: found[0]} if found else {}
    assert badges - {MASTER.stem} == set(cells), "the master notebook needs nothing, the others the project"
    assert len(set(cells.values())) == 1, "the same cell everywhere"


def test_parameters_cell_agrees_with_its_check(master):
    fields = master("Parameters").Parameters.model_fields
    source = next(c.source for c in nbformat.read(MASTER, 4).cells if c.metadata.get("tags") == ["parameters"])
    lines = [re.fullmatch(r"(\w+) = (.+?)  # @param (.+)", line) for line in source.splitlines()[1:]]
    assert [line[1] for line in lines] and {line[1] for line in lines} == set(fields)
    for _, name, _, form in ((line[0], *line.groups()) for line in lines):
        kind = fields[name].annotation
        types = {float: '{type: "number"}', int: '{type: "integer"}', str: '{type: "string"}', bool: '{type: "boolean"}'}
        assert form == (types[kind] if kind in types else json.dumps(list(typing.get_args(kind))))


def test_defaults_are_the_papers_best_model(master):
    defaults = from_notebook.parameters(MASTER)
    best = yaml.safe_load((PROJECT / "params/paper/04-adam-0.0001.yaml").read_text())
    assert defaults | best == defaults
    master("check_parameters").check_parameters(defaults)


def test_parameter_files_are_the_papers_grid(monkeypatch):
    monkeypatch.chdir(PROJECT)
    runs = study.plan("paper")
    models = pd.read_csv(PROJECT / "paper/models.csv")
    assert len(runs) == len(models) == 12
    for (name, run), model in zip(runs.items(), models.itertuples()):
        expected = {"optimizer": model.optimizer, "learning_rate": model.learning_rate, "batch_size": 64, "epochs": 30}
        assert run.parameters | expected == run.parameters
        assert name == f"{model.model:02}-{model.optimizer}-{model.learning_rate:g}"


def test_pins_for_conda_and_pip_are_equal():
    dependencies = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    direct = [Requirement(line) for item in dependencies if isinstance(item, dict) for line in item["pip"]]
    text = (PROJECT / "requirements.txt").read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+)[^\n]*((?:\n    --hash=\S+[^\n]*)+)", text, re.MULTILINE)
    locked = {(name.lower(), version) for name, version, _ in blocks}
    assert len(blocks) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE)), "a pin without a hash"
    for requirement in direct:
        assert (requirement.name.lower(), str(requirement.specifier).removeprefix("==")) in locked
    # every version of a package named in environment.yml is one that environment.yml names
    named = {requirement.name.lower() for requirement in direct}
    pins = {(r.name.lower(), str(r.specifier).removeprefix("==")) for r in direct}
    assert {pin for pin in locked if pin[0] in named} == pins


def test_papers_tables_are_whole():
    table1, table2 = (pd.read_csv(PROJECT / f"paper/{name}.csv", dtype=str) for name in ("table1", "table2"))
    assert list(table1["digit"]) == [*map(str, range(10)), "Total"]
    assert table2.groupby("model").size().tolist() == [10] * 12
    assert table2.groupby("model")["label"].agg("".join).eq("0123456789").all()
    # its correct answers add up to the accuracy in the text wherever no class has more of them than images
    counts = table2.astype({"model": int, "actual": int, "predicted": int})
    right = counts[counts["model"] == 4]["predicted"].sum()
    assert right / 100 == pd.read_csv(PROJECT / "paper/models.csv").set_index("model")["accuracy_percent"][4]


def test_each_claim_has_a_criterion():
    claims = yaml.safe_load((PROJECT / "paper/claims.yaml").read_text())["claims"]
    assert len({claim["id"] for claim in claims}) == len(claims) > 10
    for claim in claims:
        assert {"id", "source", "models", "claim", "criterion"} <= set(claim)
        assert set(claim["models"]) <= set(range(1, 13))
