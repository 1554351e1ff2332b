"""Fetch and verify MNIST once, before any run starts: python fetch_mnist.py [DATA_PATH …]"""

import sys

import from_notebook
from study import MASTER

notebook = from_notebook.load(MASTER, "load_mnist", "RunError")
for data_path in sys.argv[1:] or [""]:
    try:
        arrays = notebook.load_mnist(data_path)
    except notebook.RunError as error:
        sys.exit(str(error))
    print("MNIST is complete:", ", ".join(f"{name} {array.shape}" for name, array in arrays.items()))
