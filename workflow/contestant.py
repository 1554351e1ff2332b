"""One contestant of the benchmark: trains SqueezeNet 1.0 on MNIST's images, a round whenever it is asked to.

    python workflow/contestant.py KIND STEPS

KIND is a function below. Each line on its standard input asks for one round of STEPS steps; each is answered by one
line of JSON with the round's seconds and processor seconds. The first line of all, {}, says that it is ready.
"""

import json
import os
import sys
import time
from functools import partial

import numpy as np

import from_notebook
from study import MASTER

BATCH = 64
SIZE = 2048  # rows and columns of the matrices


def ask():
    """Answer that the last round is over, with nothing to report before the first; wait for the next request."""
    print(json.dumps(ask.report), flush=True)
    if not sys.stdin.readline():
        os._exit(0)
    ask.wall, ask.cpu = time.perf_counter(), time.process_time()


ask.report = {}


def done():
    """The round that was asked for is over."""
    ask.report = {"seconds": time.perf_counter() - ask.wall, "cpu_seconds": time.process_time() - ask.cpu}


def serve(one_round):
    """Call one_round() for each request. What is to be traced or compiled should be so before."""
    while True:
        ask()
        one_round()
        done()


def data(steps, names=()):
    """Images and labels for so many steps, at most an epoch, and functions of the master notebook."""
    if steps > 844:
        sys.exit(f"{steps} steps: an epoch has 844")
    master = from_notebook.load(MASTER, "load_mnist", "prepare", *names)
    arrays = master.load_mnist()
    images, labels = master.prepare(arrays["x_train"][:54000], arrays["y_train"][:54000])
    return images[:steps * BATCH], labels[:steps * BATCH], master


def compiled_keras(master, precision="float32"):
    """The paper's model 4, as the master notebook builds and compiles it."""
    import keras

    keras.config.set_dtype_policy(precision)
    model = master.squeezenet()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = keras.backend.backend() == "jax"
    model.compile(master.make_optimizer("adam", 0.0001), loss=loss, metrics=["accuracy"], jit_compile=jit)
    return model


def keras_fit(steps):
    """Keras' own fit on arrays, as a user would write it: two epochs a round, of half the steps each."""
    images, labels, master = data(steps // 2, ["squeezenet", "make_optimizer"])
    model = compiled_keras(master)
    model.fit(images[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)
    serve(lambda: model.fit(images, labels, batch_size=BATCH, epochs=2, verbose=0))


def keras_loop(steps, precision="float32"):
    """The master notebook's own epoch."""
    images, labels, master = data(steps, ["squeezenet", "make_optimizer", "train_epoch", "image_order"])
    model = compiled_keras(master, precision)
    master.train_epoch(model, images, labels, np.arange(min(len(images), 10 * BATCH)), BATCH)
    order = master.image_order(len(images), 0, 1)
    serve(partial(master.train_epoch, model, images, labels, order, BATCH))


def torch_network():
    """SqueezeNet 1.0 as in the master notebook, in PyTorch: logits (n, 10) from images (n, 1, 28, 28)."""
    import torch
    from torch import nn

    fire_sizes = from_notebook.load(MASTER, "fire_sizes").fire_sizes

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
    images, labels, _ = data(steps)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
    labels = torch.from_numpy(labels.astype("int64"))
    model = torch_network().to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), 0.0001, fused=True)
    forward = torch.compile(model) if compiled else model

    def epoch(count=len(images)):
        order = torch.randperm(count)
        loss_sum, right = torch.zeros(()), torch.zeros(())
        for start in range(0, count, BATCH):
            batch = order[start:start + BATCH]
            optimizer.zero_grad()
            logits = forward(images[batch])
            loss = torch.nn.functional.cross_entropy(logits, labels[batch])
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach()
            right += (logits.detach().argmax(1) == labels[batch]).sum()
        return loss_sum.item() / (count / BATCH), right.item() / count

    epoch(min(len(images), 10 * BATCH))
    serve(epoch)


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
    "keras loop on jax": keras_loop,
    "torch": torch_loop,
    "torch, channels last": partial(torch_loop, channels_last=True),
    "torch, compiled": partial(torch_loop, channels_last=True, compiled=True),
    "matrices float32": matrices,
    "matrices bfloat16": partial(matrices, kind="bfloat16"),
}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](int(sys.argv[2]))
