"""The ONNX files in outputs/reference/conv10 answer as the table beside them says."""

import numpy as np
import pandas as pd
import pytest

from conftest import PROJECT
from records import read_record

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime, in an environment of your own")
OFFICIAL = PROJECT / "outputs/reference/conv10"
TABLE = pd.read_csv(OFFICIAL / "onnx.csv").query("file.str.endswith('.onnx')")


@pytest.mark.parametrize("row", TABLE.itertuples(), ids=lambda row: row.file)
def test_a_file_answers_as_the_table_says(row, mnist_path):
    with np.load(mnist_path) as mnist:
        images, labels = mnist["x_test"], mnist["y_test"]
    session = onnxruntime.InferenceSession(OFFICIAL / row.file)
    parts = [session.run(None, {"images": part})[0].argmax(axis=1) for part in np.split(images, 20)]
    answers = np.concatenate(parts)
    official = np.array(list(read_record(OFFICIAL / "08-rmsprop-0.0001.ipynb")["predictions"]), dtype=int)
    near = 0 if "int" not in row.file else 5  # int8 is added up otherwise on processors with other instructions
    assert abs(np.sum(answers == labels) - row.right) <= near
    assert abs(np.sum(answers != official) - row.unlike_keras) <= near
    assert (OFFICIAL / row.file).stat().st_size == row.bytes
