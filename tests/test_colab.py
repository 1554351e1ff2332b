"""*Run all* with Colab's packages, of each notebook with a Colab badge; their Indonesian copies have the same code.

The versions are those of Colab's runtime 2026.07, the Python is the one that runs the tests, while Colab's is 3.12.
As on Colab, nothing lies in a virtual environment. Not tried: a GPU, `google.colab`, cloning, training on MNIST.
"""

import re
import shutil
import sys
from tempfile import TemporaryDirectory

import nbformat
import pytest

from conftest import ONE_THREAD, PROJECT, run

PINS = """tensorflow==2.20.0 keras==3.13.2 numpy==2.0.2 pandas==2.2.2 matplotlib==3.10.0 scikit-learn==1.6.1
    scipy==1.16.3 statsmodels==0.14.6 pydantic==2.13.4 nbclient==0.10.4 ipywidgets==7.7.1 ipython==7.34.0
    ipykernel==6.17.1""".split()
RUNS = {  # what the notebook's first cell says to change, and what it needs
    "notebooks/squeezenet_mnist.ipynb": ({"dataset": "digits", "batch_size": 8, "epochs": 1}, ""),
    "notebooks/first_network.ipynb": ({"offline": True}, ""),
    "notebooks/why_training_collapses.ipynb": ({"dataset": "digits", "batch_size": 8}, "project"),
    "notebooks/colab_batch.ipynb": ({"overlay": "params/overlays/demo.yaml"}, "project network"),
    "extras/page/draw_a_digit.ipynb": ({}, "project mnist"),
}
OFFLINE = dict.fromkeys(["http_proxy", "https_proxy"], "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def colab():
    """The variables that lay Colab's packages (3 GB) over the bare Python, and hide the user's files from it."""
    with TemporaryDirectory() as folder:
        install = "-m pip install --quiet --ignore-installed pyyaml pip --prefix".split()
        run(sys.executable, *install, folder, *PINS, folder=folder)
        variables = ONE_THREAD | {"PYTHONUSERBASE": folder, "HOME": folder, "PATH": "/usr/bin:/bin", "MNIST_NPZ": ""}
        there = run(sys._base_executable, "-m", "pip", "freeze", folder=folder, **variables).split()
        assert {*PINS} <= {*there} and not [pin for pin in there if pin.startswith("papermill")], there
        yield variables


@pytest.mark.slow
@pytest.mark.parametrize("path", RUNS)
def test_run_all(path, colab, tmp_path, request):
    (changes, needs), notebook = RUNS[path], nbformat.read(PROJECT / path, 4)
    for name, value in changes.items():
        cell = next(cell for cell in notebook.cells if re.search(rf"(?m)^{name} = ", cell.source))
        cell.source = re.sub(rf"(?m)^{name} = \S+", f"{name} = {value!r}", cell.source)
    nbformat.write(notebook, tmp_path / "opened.ipynb")
    if "project" in needs:  # as cloned, without the user's own demo
        shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns(".*", "site", "demo"))
    mnist = {"MNIST_NPZ": str(request.getfixturevalue("mnist_path"))} if "mnist" in needs else {}
    variables = colab | mnist | ({} if "network" in needs else OFFLINE)
    execute = "from nbclient.cli import main; main()"
    run(sys._base_executable, "-c", execute, "--inplace", "opened.ipynb", folder=tmp_path, **variables)
    cells = nbformat.read(tmp_path / "opened.ipynb", 4).cells
    assert not [out.text for cell in cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
