"""Use a notebook's definitions without running it; and run it, out of reach of a user's settings."""

import os
import re
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import nbformat

# what a kernel is told of a user's environment: the machine, the network, where data lie, the backend
KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|\w+_proxy|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|"
    r"(CUDA|NVIDIA|SLURM|XLA_PYTHON_CLIENT)_\w+|TF_FORCE_GPU_ALLOW_GROWTH|MNIST_NPZ|KERAS_HOME|KERAS_BACKEND|"
    r"PYTHONDONTWRITEBYTECODE|PYTHONUSERBASE", re.IGNORECASE)


def sources(path, *tags):
    """The cells of a notebook that carry one of these tags: number to code."""
    cells = enumerate(nbformat.read(path, as_version=4).cells)
    return {number: cell.source for number, cell in cells if set(tags) & set(cell.metadata.get("tags", []))}


def load(path, *tags):
    """Execute, in order, the cells of a notebook that carry one of these tags; return what they define, as a module.

    Raises KeyError if no cell does.
    """
    module, cells = ModuleType(Path(path).stem), sources(path, *tags)
    if not cells:
        raise KeyError(f"no cell has the tag {' or '.join(tags)}")
    for number, source in cells.items():
        exec(compile(source, f"{path}, cell {number}", "exec"), vars(module))
    return module


def defaults(path):
    """The default parameters of a notebook, name to value: its cell tagged `parameters`, executed alone."""
    return {name: value for name, value in vars(load(path, "parameters")).items() if not name.startswith("__")}


def isolate():
    """Reduce this process's environment to what cannot change a result: one thread, no start-up files."""
    for name in [name for name in os.environ if not KEPT.fullmatch(name)]:
        del os.environ[name]
    own = str(Path(".snakemake/jupyter").absolute())
    with suppress(OSError):  # IPython then takes a folder of its own
        os.makedirs(own, exist_ok=True)
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"], "1")
    os.environ |= dict.fromkeys(["IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"], own)
    os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"


def execute(path, output, parameters, **options):
    """Run a notebook by papermill, in a kernel of this very Python. Raises what papermill raises."""
    isolate()
    import papermill  # after isolate(), since it and what it imports read variables
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class Kernel(AsyncKernelManager):
        """Whatever kernels are installed here, whatever the notebook's metadata say."""
        kernel_spec = KernelSpec(**get_kernel_dict(["--HistoryManager.enabled=False", "--log-level=ERROR"]))

    papermill.execute_notebook(path, output, parameters, kernel_name="python3", language="python", progress_bar=False,
                               kernel_manager_class=Kernel, shutdown_kernel="immediate", **options)


def reason(error):
    """What papermill raised, as one line."""
    name, text = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error))
    if name == "DeadKernelError":
        return "the kernel died: killed from outside, or out of memory"
    return f"{name}: {' '.join(text.split())}"[:1000]
