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
options, optimizer, rate, momentum, epochs = json.loads(sys.argv[1])
sys.path.insert(0, "workflow")
import keras, numpy as np, from_notebook

names = ["squeezenet", "make_optimizer", "train_epoch", "compile_epoch", "image_order", "load_digits28", "prepare"]
master = from_notebook.load("notebooks/squeezenet_mnist.ipynb", *names)
arrays = master.load_digits28()
n = 16 if epochs == 1 else 54  # 54 = 3 * 16 + 6: a smaller last batch
images, labels = master.prepare(arrays["x_train"][:n], arrays["y_train"][:n])


def trained(as_one_program):
    keras.utils.set_random_seed(0)
    model = master.squeezenet(**options)
    step = master.make_optimizer(optimizer, rate, momentum, warmup_steps=4 if epochs > 1 else 0)
    model.compile(step, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"], jit_compile=True)
    step.build(model.trainable_variables)
    if as_one_program:
        epoch = master.compile_epoch(model, images, labels, 16)
    else:
        epoch = lambda order: master.train_epoch(model, images, labels, order, 16)
    before = model.get_weights()
    means = [epoch(master.image_order(n, 0, number)) for number in range(1, epochs + 1)]
    return means, before, model.get_weights(), int(model.optimizer.iterations)


(loop, before, a, steps), (program, _, b, same_steps) = trained(False), trained(True)
norm = lambda arrays: float(np.sqrt(sum(np.sum(np.square(array)) for array in arrays)))
print(json.dumps({
    "loop": loop, "program": program, "steps": [steps, same_steps],
    "apart": norm([p - q for p, q in zip(a, b)]) / norm([p - q for p, q in zip(a, before)]),
}))
"""

# He's weights let the signal arrive: where gradients are no larger than rounding errors, RMSprop's steps are made of these.
# Batch normalisation in a new network blows them up from step to step; of it one step is compared.
CASES = {
    "dropout": ({"initializer": "he_normal", "dropout": 0.5}, "sgd", 0.001, 0.9, 2),
    "rmsprop": ({"initializer": "he_normal"}, "rmsprop", 0.0001, 0.0, 2),
    "batch-norm": ({"initializer": "he_normal", "batch_norm": True}, "sgd", 0.01, 0.0, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_epoch_as_one_program_is_the_loop_over_batches(case):
    command = [sys.executable, "-c", COMPARED, json.dumps(CASES[case])]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["steps"] == ([1, 1] if case == "batch-norm" else [8, 8])
    for loop, program in zip(seen["loop"], seen["program"]):
        assert program == pytest.approx(loop, rel=1e-3)
    assert seen["apart"] < 0.05, seen  # of the way from the initial weights
