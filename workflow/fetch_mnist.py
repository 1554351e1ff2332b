"""Fetch and verify MNIST once, before any run starts: python workflow/fetch_mnist.py [DATA_PATH …]"""

import os
import sys

from notebooks import load
from study import MASTER

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
master = load(MASTER, "check", "imports", "data")
for path in sys.argv[1:] or [""]:
    try:
        master.load_mnist(path)
    except master.RunError as error:
        sys.exit(str(error))
