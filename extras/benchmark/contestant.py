"""One contestant of the benchmark: trains SqueezeNet on MNIST's images, a round whenever it is asked to.

    python extras/benchmark/contestant.py KIND STEPS

KIND is a function below. Each line on its standard input asks for one round of STEPS steps; each is answered by one
line of JSON with the round's seconds and processor seconds. The first line of all, {}, says that it is ready.
"""

import json
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MASTER = PROJECT / "notebooks" / "squeezenet_mnist.ipynb"
sys.path.insert(0, str(PROJECT / "workflow"))
import notebooks  # noqa: E402

BATCH, SIZE = 64, 2048  # images a step; rows and columns of the matrices


def load_master():
    """The definitions of the master notebook, as a module."""
    return notebooks.load(MASTER, "settings", "imports", "data", "network", "training")


def prepare(steps):
    """The master; model 4 of the paper, untrained; images and labels for so many steps."""
    if steps > 843:
        sys.exit(f"{steps} steps: an epoch has 843 whole batches")
    master = load_master()
    images, labels = (array[:steps * BATCH] for array in master.split_data("mnist")[0])
    model = master.build(master.Settings(**notebooks.defaults(MASTER)), (28, 28, 1), 10, steps)
    return master, model, images, labels


def fit_on_arrays(steps):
    """Keras' fit on arrays, as most would write it: two epochs a round, of half the steps each."""
    _, model, images, labels = prepare(steps // 2)
    model.fit(images[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)
    return lambda: model.fit(images, labels, batch_size=BATCH, epochs=2, verbose=0)


def fit_on_batches(steps):
    """Keras' fit on the master's batches, as a run trains."""
    master, model, *data = prepare(steps)

    def fit(steps):
        model.fit(master.feed(master.batches(*data, BATCH, seed=0, epochs=1), *data), steps_per_epoch=steps, verbose=0)

    fit(1)
    return lambda: fit(steps)


def train_on_batch(steps):
    """A loop of one's own over the same batches, as the master trained before it used fit."""
    master, model, *data = prepare(steps)

    def one_round():
        model.reset_metrics()
        for images, labels in master.batches(*data, BATCH, seed=0, epochs=1):
            logs = model.train_on_batch(images, labels, return_dict=True)
        return float(logs["loss"])

    model.train_on_batch(*(array[:BATCH] for array in data))
    return one_round


def pytorch(steps):
    """The same network, optimizer and batches by PyTorch, channels last."""
    import torch
    from torch import nn

    class Fire(nn.Module):
        def __init__(self, channels, squeeze, expand):
            super().__init__()
            self.squeeze = nn.Conv2d(channels, squeeze, 1)
            self.left, self.right = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu()
            return torch.cat([self.left(x), self.right(x)], 1).relu()

    master, keras_model, *data = prepare(steps)
    model = nn.Sequential(
        nn.Conv2d(1, 96, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), nn.MaxPool2d(3, 2, 1),
        Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), nn.MaxPool2d(3, 2, 1),
        Fire(512, 64, 256), nn.Conv2d(512, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ).to(memory_format=torch.channels_last)
    assert sum(p.numel() for p in model.parameters()) == keras_model.count_params()
    torch.set_flush_denormal(True)  # as TensorFlow does
    optimizer = torch.optim.Adam(model.parameters(), 0.0001, eps=1e-7, fused=True)

    def train(images, labels):
        for x, y in master.batches(images, labels, BATCH, seed=0, epochs=1):
            x, y = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y).long()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.item()

    train(*(array[:BATCH] for array in data))
    return lambda: train(*data)


def matrices(steps):
    """As many products of two square matrices as steps, by TensorFlow: what the machine can do."""
    import tensorflow as tf

    a = tf.random.normal((SIZE, SIZE))
    product = tf.function(lambda a: tf.matmul(a, a))
    product(a)
    return lambda: [product(a)[0, 0].numpy() for _ in range(steps)]  # a value, so that it is waited for


if __name__ == "__main__":
    one_round = globals()[sys.argv[1]](int(sys.argv[2]))  # with all that is traced or compiled behind it
    print("{}", flush=True)
    while sys.stdin.readline():
        wall, cpu = time.perf_counter(), time.process_time()
        one_round()
        print(json.dumps({"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}), flush=True)
