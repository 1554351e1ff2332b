"""One contestant of the benchmark: trains SqueezeNet 1.0 on MNIST's images, a round whenever it is asked to.

    python extras/benchmark/contestant.py KIND STEPS

KIND is a key of CONTESTANTS. Each line on its standard input asks for one round of STEPS steps; each is answered by
one line of JSON with the round's seconds and processor seconds. The first line of all, {}, says that it is ready.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MASTER = PROJECT / "notebooks" / "squeezenet_mnist.ipynb"
sys.path.insert(0, str(PROJECT / "workflow"))
import notebooks  # noqa: E402

BATCH, SIZE = 64, 2048  # images a step; rows and columns of the matrices


def load_master():
    """The definitions of the master notebook, as a module."""
    with redirect_stdout(sys.stderr):  # standard output is for answers
        return notebooks.load(MASTER, "check", "imports", "data", "network", "training")


def prepare(steps, **changes):
    """(master, model 4 of the paper, images, labels) for so many steps; changes: of its parameters."""
    if steps > 844:
        sys.exit(f"{steps} steps: an epoch has 844")
    master = load_master()
    arrays = master.load_mnist()
    images, labels = master.prepare(arrays["x_train"][: steps * BATCH], arrays["y_train"][: steps * BATCH])
    settings = master.Parameters(**notebooks.defaults(MASTER) | changes)
    return master, master.build(settings, n_steps=844), images, labels


def keras_fit(steps):
    """Keras' own fit on arrays, as most would write it: two epochs a round, of half the steps each."""
    _, model, images, labels = prepare(steps // 2)
    model.fit(images[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)
    return lambda: model.fit(images, labels, batch_size=BATCH, epochs=2, verbose=0)


def keras_loop(steps, **changes):
    """The master notebook's own epoch."""
    master, model, images, labels = prepare(steps, **changes)
    order = master.image_order(len(images), 0, 1)
    master.train_epoch(model, images, labels, order[: 10 * BATCH], BATCH)
    return lambda: master.train_epoch(model, images, labels, order, BATCH)


def matrices(steps):
    """As many products of two square matrices as steps, by TensorFlow: what the machine can do."""
    import tensorflow as tf

    a = tf.random.normal((SIZE, SIZE))
    product = tf.function(lambda a: tf.matmul(a, a))
    product(a)
    return lambda: [product(a)[0, 0].numpy() for _ in range(steps)]  # a value, so that it is waited for


CONTESTANTS = {"keras fit": keras_fit, "keras loop": keras_loop, "matrices": matrices,
               "keras loop, bfloat16": partial(keras_loop, precision="mixed_bfloat16")}

if __name__ == "__main__":
    one_round = CONTESTANTS[sys.argv[1]](int(sys.argv[2]))  # with all that is traced or compiled behind it
    print("{}", flush=True)
    while sys.stdin.readline():
        wall, cpu = time.perf_counter(), time.process_time()
        one_round()
        print(json.dumps({"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}), flush=True)
