"""The benchmark: its contestants keep to their protocol, and in its smallest form it makes its tables."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import contestant
from conftest import PROJECT, run


def answers(kind, steps, requests=1):
    """A contestant's exit status, the lines that it prints and its complaints, for so many requests."""
    command = [sys.executable, "extras/benchmark/contestant.py", kind, str(steps)]
    done = subprocess.run(command, cwd=PROJECT, input=requests * "go\n", capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("kind", ["keras loop", "keras fit", "matrices float32"])
def test_a_contestant_answers_each_request(kind, mnist_path, monkeypatch):
    monkeypatch.setenv("MNIST_NPZ", str(mnist_path))
    status, lines, _ = answers(kind, 2, requests=2)
    ready, *rounds = map(json.loads, lines)
    assert status == 0 and ready == {} and len(rounds) == 2
    assert all(each["seconds"] > 0 and each["cpu_seconds"] > 0 for each in rounds)


def test_more_steps_than_an_epoch_are_refused():
    status, _, complaint = answers("keras loop", 845)
    assert status == 1 and "an epoch has 844" in complaint


def test_pytorch_trains_the_same_network():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here: pip install torch")
    master = contestant.load_master()
    ours, theirs = master.squeezenet(), contestant.torch_network(master.fire_sizes)
    sizes = [sorted(np.prod(weight.shape) for weight in weights) for weights in (ours.weights, theirs.parameters())]
    assert sizes[0] == sizes[1]
    assert theirs(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.slow  # minutes: it starts each contestant, on all cores
def test_the_smallest_benchmark(tmp_path, mnist_path, monkeypatch):
    monkeypatch.setenv("MNIST_NPZ", str(mnist_path))
    options = [word for name in ("rounds", "steps", "short", "products") for word in ("-p", name, "2")]
    done = run("papermill", "extras/benchmark/benchmark.ipynb", tmp_path / "benchmark.ipynb", *options,
               "-p", "folder", tmp_path, "--no-progress-bar", folder=PROJECT)
    assert done.returncode == 0, done.stdout[-3000:]
    speed = pd.read_csv(tmp_path / "speed.csv", index_col="contestant")
    assert (speed.loc[["user", "batch"], "images/s"] > 0).all() and (speed["rounds"] == 2).all()
    assert pd.read_csv(tmp_path / "profile.csv")["share"].sum() == pytest.approx(1, abs=0.01)
