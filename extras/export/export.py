"""Write a trained network as ONNX, in float32, int8 and int4, and measure each on the test images.

    python extras/export/export.py outputs/reference/08-rmsprop-0.0001.ipynb outputs/onnx

The weights lie beside the run, as snakemake leaves them. The folder is new; its onnx.csv says what each file costs.
"""

import gzip
import os
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up chatter
MASTER = Path(__file__).resolve().parents[2] / "notebooks/squeezenet_mnist.ipynb"
sys.path.insert(0, str(MASTER.parents[1] / "workflow"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnx.version_converter  # noqa: E402
import onnxruntime  # noqa: E402
import pandas as pd  # noqa: E402
from onnxruntime.quantization import QuantType, quantize_static  # noqa: E402
from statsmodels.stats.proportion import proportion_confint  # noqa: E402

import notebooks  # noqa: E402
import records  # noqa: E402

master = notebooks.load(MASTER, "imports", "data", "network")
CALIBRATION = 1000  # training images, the first ones: they tell in which range each layer's values lie
SMALLER = {  # how weights are rounded; the values between layers are int8 in both
    "int8": {"reduce_range": True},  # to 7 bits: processors without VNNI add products of 8 bits in 16, which overflow
    "int4": {"weight_type": QuantType.QInt4, "per_channel": True},
}


def load_network(weights, head, batch_norm):
    """A run's Keras model, from what a user has, uint8 images (n, 28, 28), to probabilities (n, 10)."""
    model = master.squeezenet(head=head, batch_norm=batch_norm)
    model.load_weights(weights)
    images = keras.Input((28, 28), dtype="uint8", name="images")
    pixels = keras.ops.expand_dims(keras.ops.cast(images, "float32") / 255, axis=-1)
    return keras.Model(images, keras.layers.Softmax()(model(pixels)))


def write_onnx(model, path):
    """Write a model of load_network as ONNX; tensors are numbered, since Keras' names are a tenth of int4's file."""
    model(np.zeros((1, 28, 28), "uint8"))  # only a model that was called can be exported
    model.export(path, format="onnx", verbose=False)
    network = onnx.version_converter.convert_version(onnx.load(path), 21)  # the first version that knows int4
    graph = network.graph
    tensors = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    names = {name: str(number) for number, name in enumerate(tensors)}
    names |= {graph.input[0].name: "images", graph.output[0].name: "probabilities"}
    for node in graph.node:
        node.input[:], node.output[:] = [names[name] for name in node.input], [names[name] for name in node.output]
        node.name = node.output[0]
    for tensor in (*graph.initializer, *graph.input, *graph.output):
        tensor.name = names[tensor.name]
    onnx.save(network, path)


def answer(path, images, size=500):
    """Probabilities (n, 10) that an ONNX file gives for uint8 images (n, 28, 28)."""
    session = onnxruntime.InferenceSession(path)
    parts = [images[start:start + size] for start in range(0, len(images), size)]
    return np.concatenate([session.run(None, {"images": part})[0] for part in parts])


def measure(path, probabilities, expected, labels):
    """A row of the table: size, right answers with a 95 % Wilson interval, difference from Keras' probabilities."""
    answers, content = probabilities.argmax(axis=1), path.read_bytes()
    right = int(np.sum(answers == labels))
    low, high = proportion_confint(right, len(labels), method="wilson")
    return {"file": path.name, "bytes": len(content), "gzip_bytes": len(gzip.compress(content, mtime=0)),
            "images": len(labels), "right": right, "low": low, "high": high,
            "unlike_keras": int(np.sum(answers != expected.argmax(axis=1))),
            "largest_difference": np.abs(probabilities - expected).max()}


def main(run, folder):
    """Export a run, the path of its notebook, into a new folder."""
    weights, path = Path(run).with_suffix(".weights.h5"), Path(folder, f"{Path(run).stem}.onnx")
    smaller, record = {kind: path.with_stem(f"{path.stem}-{kind}") for kind in SMALLER}, records.read_record(run)
    if record is None or not weights.exists():
        sys.exit(f"{run} holds no result, or {weights} is missing: make the run by snakemake, which keeps both")
    path.parent.mkdir(parents=True)
    told = record["parameters"]
    (examples, _), (images, labels) = master.load_data(told["dataset"])
    model = load_network(weights, told["head"], told["batch_norm"])
    write_onnx(model, path)
    for kind, options in SMALLER.items():
        batches = iter([{"images": part} for part in np.split(examples[:CALIBRATION], 20)] + [None])
        quantize_static(path, smaller[kind], SimpleNamespace(get_next=batches.__next__), **options)
    expected = model.predict(images, batch_size=500, verbose=0)
    rows = [measure(file, answer(file, images), expected, labels) for file in (path, *smaller.values())]
    rows = pd.DataFrame([measure(weights, expected, expected, labels), *rows])
    rows.to_csv(path.with_name("onnx.csv"), index=False, float_format="%.6f", lineterminator="\n")
    print(rows.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
