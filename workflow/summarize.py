"""The summary of a study: python workflow/summarize.py outputs/paper

Executes notebooks/summary.ipynb and makes a page of it. Its files move to outputs/paper/summary once all are complete.
"""

import fcntl
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor

import notebooks
from records import plain

SUMMARY = "notebooks/summary.ipynb"
ALONE = dict.fromkeys(["mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"], "")  # nothing from elsewhere


def make_page(notebook, title):
    """The page of an executed notebook as text: what its cells show, with the pictures inside."""
    exporter = HTMLExporter(exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True, **ALONE)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags=["notebook-only"]), enabled=True)
    return exporter.from_notebook_node(nbformat.read(notebook, 4), {"metadata": {"name": title}})[0]


def summarize(results):
    """Make the summary of a folder of executed notebooks. Raises what papermill, nbconvert or the disk raises."""
    summary, new = Path(results, "summary"), Path(results, ".summary-new")
    with suppress(OSError):  # two at once: one after the other, where the file system has locks
        fcntl.flock(os.open(results, os.O_RDONLY), fcntl.LOCK_EX)
    shutil.rmtree(new, ignore_errors=True)  # of one that was killed
    try:
        new.mkdir()
        notebooks.execute(SUMMARY, new / "summary.ipynb", {"results": str(results), "folder": str(new)})
        page = make_page(new / "summary.ipynb", f"Summary of {plain(Path(results).resolve().name)}")
        (new / "index.html").write_text(page, encoding="utf-8")
        summary.mkdir(exist_ok=True)
        for path in new.iterdir():
            path.replace(summary / path.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    try:
        summarize(sys.argv[1])
    except Exception as error:
        why = plain(notebooks.reason(error))
        sys.exit(f"no new summary of {sys.argv[1]}: {why}. Mend this, then run the same command again")
    print(Path(sys.argv[1], "summary/comparison.txt").read_text(encoding="utf-8"))
    print(f"Page with all figures: {sys.argv[1]}/summary/index.html")
