"""Load data sets once, before any run starts: python workflow/check_data.py mnist my/own.npz"""

import sys

import notebooks
from study import MASTER

notebooks.isolate()
master = notebooks.load(MASTER, "imports", "data")
for dataset in sys.argv[1:]:
    try:
        master.split_data(dataset)
    except Exception as error:  # a file that is absent, damaged, of another shape
        sys.exit(f"dataset {dataset} cannot be used: {notebooks.reason(error)}")
