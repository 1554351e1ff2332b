"""One contestant of the benchmark: trains SqueezeNet 1.0 on MNIST's images, a round whenever it is asked to.

    python extras/benchmark/contestant.py KIND STEPS

KIND is a key of CONTESTANTS. Each line on its standard input asks for one round of STEPS steps; each is answered by
one line of JSON with the round's seconds and processor seconds. The first line of all, {}, says that it is ready.
"""

import json
import os
import sys
import time
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
MASTER = PROJECT / "notebooks" / "squeezenet_mnist.ipynb"
sys.path.insert(0, str(PROJECT / "workflow"))
import notebooks  # noqa: E402

BATCH = 64
SIZE = 2048  # rows and columns of the matrices


def load_master():
    """The definitions of the master notebook, as a module."""
    with redirect_stdout(sys.stderr):  # standard output is for answers
        return notebooks.load(MASTER, "check", "imports", "data", "network", "training")


def serve(one_round):
    """Call one_round() for each request. What is to be traced or compiled should be so before."""
    print("{}", flush=True)
    while sys.stdin.readline():
        wall, cpu = time.perf_counter(), time.process_time()
        one_round()
        seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        print(json.dumps(seconds), flush=True)


def data(master, steps):
    """MNIST's images and labels for so many steps, at most an epoch."""
    if steps > 844:
        sys.exit(f"{steps} steps: an epoch has 844")
    arrays = master.load_mnist()
    return master.prepare(arrays["x_train"][: steps * BATCH], arrays["y_train"][: steps * BATCH])


def paper_model(master, **changes):
    """The paper's model 4, as the master notebook builds and compiles it; changes: of its parameters."""
    settings = master.Parameters(**notebooks.defaults(MASTER) | changes)
    return master.build(settings, n_steps=844)


def keras_fit(steps):
    """Keras' own fit on arrays, as a user would write it: two epochs a round, of half the steps each."""
    master = load_master()
    images, labels = data(master, steps // 2)
    model = paper_model(master)
    model.fit(images[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)
    serve(lambda: model.fit(images, labels, batch_size=BATCH, epochs=2, verbose=0))


def keras_loop(steps, **changes):
    """The master notebook's own epoch."""
    master = load_master()
    images, labels = data(master, steps)
    model = paper_model(master, **changes)
    master.train_epoch(model, images, labels, np.arange(min(len(images), 10 * BATCH)), BATCH)
    order = master.image_order(len(images), 0, 1)
    serve(partial(master.train_epoch, model, images, labels, order, BATCH))


def torch_network(fire_sizes):
    """SqueezeNet 1.0 as in the master notebook, in PyTorch: logits (n, 10) from images (n, 1, 28, 28)."""
    import torch
    from torch import nn

    class Fire(nn.Module):
        def __init__(self, channels, squeeze, expand):
            super().__init__()
            self.squeeze = nn.Conv2d(channels, squeeze, 1)
            self.left, self.right = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu_()
            return torch.cat([self.left(x).relu_(), self.right(x).relu_()], 1)

    layers, channels = [nn.Conv2d(1, 96, 7, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 96
    for i, (squeeze, expand) in fire_sizes.items():
        layers.append(Fire(channels, squeeze, expand))
        layers += [nn.MaxPool2d(3, 2, 1)] if i in (4, 8) else []
        channels = 2 * expand
    return nn.Sequential(*layers, nn.Conv2d(channels, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def torch_loop(steps, channels_last=False, compiled=False):
    """The usual PyTorch training loop, with the loss and accuracy that the others keep, too."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.set_flush_denormal(True)  # as TensorFlow does
    master = load_master()
    images, labels = data(master, steps)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
    labels = torch.from_numpy(labels.astype("int64"))
    model = torch_network(master.fire_sizes).to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), 0.0001, fused=True)
    forward = torch.compile(model) if compiled else model

    def epoch(count):
        order = torch.randperm(count)
        loss_sum, right = torch.zeros(()), torch.zeros(())
        for start in range(0, count, BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            logits = forward(images[batch])
            loss = torch.nn.functional.cross_entropy(logits, labels[batch])
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach()
            right += (logits.detach().argmax(1) == labels[batch]).sum()
        return loss_sum.item() / (count / BATCH), right.item() / count

    epoch(min(len(images), 10 * BATCH))
    serve(partial(epoch, len(images)))


def matrices(steps, kind="float32"):
    """As many products of two square matrices as steps, by TensorFlow."""
    import tensorflow as tf

    a = tf.cast(tf.random.normal((SIZE, SIZE)), kind)
    product = tf.function(lambda a: tf.matmul(a, a))
    product(a)
    serve(lambda: [product(a)[0, 0].numpy() for _ in range(steps)])  # a value, so that it is waited for


CONTESTANTS = {
    "keras fit": keras_fit,
    "keras loop": keras_loop,
    "keras loop, bfloat16": partial(keras_loop, precision="mixed_bfloat16"),
    "keras loop, huge pages": keras_loop,
    "keras loop on jax": partial(keras_loop, backend="jax"),
    "torch": torch_loop,
    "torch, channels last": partial(torch_loop, channels_last=True),
    "torch, compiled": partial(torch_loop, channels_last=True, compiled=True),
    "matrices float32": matrices,
    "matrices bfloat16": partial(matrices, kind="bfloat16"),
}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](int(sys.argv[2]))
