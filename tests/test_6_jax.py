"""JAX: an epoch as one program does what the loop over batches does. The program is for GPUs; here it runs on the CPU."""

import json
import os
import subprocess
import sys

import pytest
from conftest import PROJECT

pytest.importorskip("jax", reason="JAX is not installed here: make extras")

COMPARED = """
import json, sys
options, optimizer, rate = json.loads(sys.argv[1])
sys.path.insert(0, "workflow")
import keras, numpy as np, from_notebook

names = ["squeezenet", "make_optimizer", "train_epoch", "compile_epoch", "image_order", "load_digits28", "prepare"]
master = from_notebook.load("notebooks/squeezenet_mnist.ipynb", *names)
arrays = master.load_digits28()
images, labels = master.prepare(arrays["x_train"][:54], arrays["y_train"][:54])  # 54 = 3 * 16 + 6: a smaller last batch


def trained(as_one_program):
    keras.utils.set_random_seed(0)
    model = master.squeezenet(**options)
    step = master.make_optimizer(optimizer, rate, warmup_steps=4)
    model.compile(step, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"], jit_compile=True)
    if as_one_program:
        epoch = master.compile_epoch(model, images, labels, 16)
    else:
        epoch = lambda order: master.train_epoch(model, images, labels, order, 16)
    before = model.get_weights()
    means = [epoch(master.image_order(len(images), 0, number)) for number in (1, 2)]
    return means, before, model.get_weights(), int(model.optimizer.iterations)


(loop, before, a, steps), (program, _, b, same_steps) = trained(False), trained(True)
print(json.dumps({
    "loop": loop, "program": program, "steps": [steps, same_steps],
    "apart": max(float(np.abs(p - q).max()) for p, q in zip(a, b)),
    "moved": max(float(np.abs(p - q).max()) for p, q in zip(a, before)),
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", [
    ({"dropout": 0.5}, "adam", 0.001),
    ({"batch_norm": True}, "sgd", 0.01),  # Adam would blow up the rounding errors of biases before a normalisation, whose gradient is 0
], ids=["adam-dropout", "sgd-batch-norm"])
def test_an_epoch_as_one_program_is_the_loop_over_batches(case):
    variables = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", COMPARED, json.dumps(case)]
    done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["steps"] == [8, 8]
    for loop, program in zip(seen["loop"], seen["program"]):
        assert program == pytest.approx(loop, rel=1e-3)
    assert seen["apart"] < 0.02 * seen["moved"], seen
