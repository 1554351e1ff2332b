"""A contestant of the benchmark keeps to its protocol: ready, then one answer a request."""

import json
import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.parametrize("kind", ["keras loop", "keras fit", "matrices float32"])
def test_a_contestant_answers_each_request(kind, mnist_path, monkeypatch):
    monkeypatch.setenv("MNIST_NPZ", str(mnist_path))
    command = [sys.executable, "workflow/contestant.py", kind, "2"]
    done = subprocess.run(command, cwd=PROJECT, input="go\ngo\n", capture_output=True, text=True)
    ready, *answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and ready == {} and len(answers) == 2
    assert all(answer["seconds"] > 0 and answer["cpu_seconds"] > 0 for answer in answers)


def test_more_steps_than_an_epoch_are_refused(mnist_path, monkeypatch):
    monkeypatch.setenv("MNIST_NPZ", str(mnist_path))
    command = [sys.executable, "workflow/contestant.py", "keras loop", "845"]
    done = subprocess.run(command, cwd=PROJECT, input="go\n", capture_output=True, text=True)
    assert done.returncode == 1 and "an epoch has 844" in done.stderr


def test_pytorch_trains_the_same_network(master):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make extras")
    import contestant

    ours, theirs = master("squeezenet").squeezenet(), contestant.torch_network()
    shapes = sorted(tuple(v.shape)[::-1] if len(v.shape) == 1 else (v.shape[3], v.shape[2], *v.shape[:2]) for v in ours.trainable_variables)
    assert sorted(tuple(p.shape) for p in theirs.parameters()) == shapes
    assert theirs(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
