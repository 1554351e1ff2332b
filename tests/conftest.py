"""What several tests share: the notebooks' functions, copies of the project, MNIST where it can be had."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "workflow"))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import from_notebook  # noqa: E402

MASTER = PROJECT / "notebooks" / "squeezenet_mnist.ipynb"
SUMMARY = PROJECT / "notebooks" / "summary.ipynb"


@pytest.fixture(scope="session")
def master():
    """Load functions of the master notebook: master("squeezenet", "digest")."""
    return lambda *names: from_notebook.load(MASTER, *names)


@pytest.fixture(scope="session")
def mnist_path():
    """A path of mnist.npz; the test is skipped where there is none."""
    keras_home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    path = Path(os.environ.get("MNIST_NPZ") or keras_home / "datasets" / "mnist.npz")
    if not path.exists():
        pytest.skip("MNIST is not on this machine: set MNIST_NPZ to the path of mnist.npz")
    return path.resolve()


@pytest.fixture
def project(tmp_path):
    """A copy of the project without outputs and environments, to run and break things in."""
    for part in ("notebooks", "params", "paper", "workflow"):
        shutil.copytree(PROJECT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def count(record_property):
    """Count what a test has shown, for the README's table: count("faults injected")."""
    return lambda what, n=1: record_property(what, n)


def run(*command, folder, **environment):
    """Run a command in a folder; return the finished process, its output as text in .stdout."""
    bin_folder = Path(sys.executable).parent
    variables = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", **environment}
    return subprocess.run(
        [*map(str, command)], cwd=folder, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
