"""The master computes the official runs' first epoch again, to the bit."""

from importlib.metadata import version
from pathlib import Path

import pytest

from conftest import MASTER, ONE_THREAD, PROJECT, run
from records import read_lines, read_record

RUNS = ["04-adam-0.0001", "08-rmsprop-0.0001", "10-sgd-0.01"]


@pytest.mark.parametrize("folder, name", [
    pytest.param(folder, name, marks=[] if (folder, name) == (".", RUNS[0]) else pytest.mark.slow)
    for folder in (".", "fire10-dense") for name in RUNS])
def test_the_first_epoch_of_an_official_run(folder, name, mnist_path, tmp_path):
    official = read_record(PROJECT / "outputs/reference" / folder / f"{name}.ipynb")
    made_by, info = official["environment"], Path("/proc/cpuinfo")
    cpu = info.read_text() if info.exists() else ""
    maker = "GenuineIntel" if made_by["cpu"].startswith("Intel") else "AuthenticAMD"
    if "avx512f" not in cpu:
        if (folder, name) != (".", RUNS[0]) or "AuthenticAMD" not in cpu or "avx2" not in cpu:
            pytest.skip("no AVX-512 here: weights are not expected to be equal to the bit")
        official = read_lines(PROJECT / "outputs/reference/archive/repetition.jsonl.gz")["04-avx2-amd"]
    if "rmsprop" in name and maker not in cpu:
        pytest.skip(f"made on {maker}: RMSprop's weights differ between makers of processors")
    there = {package: made_by["versions"][package] for package in ("keras", "numpy", "tensorflow")}
    here = {package: version(package) for package in there}
    if here != there:
        pytest.skip(f"made with {there}, here are {here}")

    options = ["-p", "epochs", "1", "-p", "head", folder if folder != "." else "conv10", "--no-progress-bar"]
    run("papermill", MASTER, "out.ipynb", "-f", PROJECT / f"params/paper/{name}.yaml", *options,
        folder=tmp_path, MNIST_NPZ=str(mnist_path), **ONE_THREAD)
    repeated = read_record(tmp_path / "out.ipynb")
    assert repeated["digests"]["initial_weights"] == official["digests"]["initial_weights"]
    assert repeated["digests"]["weights"] == official["digests"]["weights"][:1]
    for quantity in ("loss", "accuracy", "val_accuracy"):
        assert repeated["history"][0][quantity] == official["history"][0][quantity]
    assert repeated["history"][0]["val_loss"] == pytest.approx(official["history"][0]["val_loss"], rel=1e-5)
