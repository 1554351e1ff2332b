"""What several tests share: where things lie, copies of the project, MNIST where it can be had."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
MASTER = PROJECT / "notebooks" / "squeezenet_mnist.ipynb"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
sys.path.insert(0, str(PROJECT / "workflow"))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


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
    return copy_project(tmp_path / "project")


def copy_project(folder):
    """Copy what a study needs into a folder; return the folder."""
    for part in ("notebooks", "params", "paper", "workflow"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def write_study(folder, **runs):
    """Write params/mini in a copy of the project: a file for each run, its parameters a dict (JSON is YAML)."""
    (folder / "params/mini").mkdir(exist_ok=True)
    for name, parameters in runs.items():
        (folder / f"params/mini/{name}.yaml").write_text(json.dumps(parameters))


def environment(**variables):
    """The environment of a command: this Python's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def run(*command, folder, fails=False, **variables):
    """Run a command in a folder, which succeeds or (fails=True) does not; return what it says, a text."""
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment(**variables), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert bool(done.returncode) == fails, done.stdout[-10000:]
    return done.stdout
