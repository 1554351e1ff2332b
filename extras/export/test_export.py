"""The ONNX files in outputs/reference answer as the table beside them says."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from conftest import PROJECT
from records import read_record

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime, in an environment of your own")
OFFICIAL = PROJECT / "outputs/reference"


def test_each_file_answers_as_the_table_says(mnist_path):
    with np.load(mnist_path) as mnist:
        images, labels = mnist["x_test"], mnist["y_test"]
    answers = {}
    for row in pd.read_csv(OFFICIAL / "onnx.csv").query("file.str.endswith('.onnx')").itertuples():
        session = onnxruntime.InferenceSession(OFFICIAL / row.file)
        parts = [session.run(None, {"images": part})[0].argmax(axis=1) for part in np.split(images, 20)]
        answers[row.file] = np.concatenate(parts).astype("uint8")
        unlike_float32 = np.sum(answers[row.file] != answers["08-rmsprop-0.0001.onnx"])
        near = 0 if "int" not in row.file else 5  # int8 is added up otherwise on processors with other instructions
        assert abs(np.sum(answers[row.file] == labels) - row.right) <= near
        assert abs(unlike_float32 - row.unlike_keras) <= near
        assert (OFFICIAL / row.file).stat().st_size == row.bytes
    recorded = read_record(OFFICIAL / "08-rmsprop-0.0001.ipynb")["digests"]["predictions"]
    assert hashlib.sha256(answers["08-rmsprop-0.0001.onnx"]).hexdigest() == recorded
