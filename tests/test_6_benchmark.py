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
    assert ready == {} and len(answers) == 2
    assert all(answer["seconds"] > 0 and answer["cpu_seconds"] > 0 for answer in answers)
