"""The benchmark: its contestants keep to their protocol, and in its smallest form it makes its table."""

import pandas as pd
import pytest

from conftest import PROJECT, run


def test_more_steps_than_an_epoch_are_refused():
    said = run("python", "extras/benchmark/contestant.py", "fit_on_batches", "844", folder=PROJECT, fails=True)
    assert "an epoch has 843" in said


@pytest.mark.slow  # minutes: it starts each contestant, on all cores
def test_the_smallest_benchmark(tmp_path, mnist_path):
    options = [word for name in ("rounds", "steps", "products") for word in ("-p", name, "2")]
    run("papermill", "extras/benchmark/benchmark.ipynb", tmp_path / "benchmark.ipynb", *options,
        "-p", "folder", tmp_path, "--no-progress-bar", folder=PROJECT, MNIST_NPZ=str(mnist_path))
    speed = pd.read_csv(tmp_path / "speed.csv", index_col="contestant")
    assert (speed["GFLOP/s"] > 0).all() and (speed["rounds"] == 2).all() and (speed["busy"] > 0).all()
    assert speed.loc["user", "against user"] == speed.loc["loop", "against loop"] == 1
