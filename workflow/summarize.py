"""The summary of a study: python workflow/summarize.py outputs/paper

Executes notebooks/summary.ipynb and makes a page of it. All files appear together, in outputs/paper/summary, or none.
"""

import fcntl
import os
import shutil
import sys
from html import escape
from pathlib import Path

import papermill
from nbconvert import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor

from records import plain

SUMMARY = "notebooks/summary.ipynb"
MADE = ["accuracy.png", "comparison.csv", "comparison.txt", "confusion_matrix.png", "index.html", "loss.png",
        "runs.csv", "scores.csv", "summary.ipynb"]
STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere } img { max-width: 100% }
table { border-collapse: collapse; font-size: 14px } .output_subarea { overflow-x: auto }
th, td { padding: .2rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd }
.anchor-link { display: none } @media (max-width: 45rem) {
  img { max-width: none; zoom: .6 } table { font-size: 12px } th, td { padding: .2rem .3rem } }
"""


def make_page(notebook, title):
    """The page of an executed notebook as text: what its cells show, pictures inside, no outside addresses."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags=["notebook-only"]), enabled=True)
    body, _ = exporter.from_filename(str(notebook))
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><h1>{title}</h1>{body}</html>\n')


def summarize(results):
    """Make the summary of a folder of executed notebooks. Raises what papermill, nbconvert or the disk raises."""
    summary, new, old = (Path(results, name) for name in ("summary", ".summary-new", ".summary-old"))
    lock = os.open(results, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two at once: one after the other
    for left in (new, old):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    try:
        new.mkdir()
        parameters = {"results": str(results), "folder": str(new)}
        papermill.execute_notebook(SUMMARY, new / "summary.ipynb", parameters, progress_bar=False)
        title = f"{escape(plain(Path(results).resolve().name))}: summary of a study"
        (new / "index.html").write_text(make_page(new / "summary.ipynb", title), encoding="utf-8")
        if summary.exists():
            for path in summary.iterdir():  # what others put there, such as the report
                if path.name not in MADE:
                    copy = shutil.copytree if path.is_dir() else shutil.copy2
                    copy(path, new / path.name)
            summary.rename(old)
        new.rename(summary)
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def reason(error):
    """Why there is no summary, in one line."""
    if isinstance(error, papermill.PapermillExecutionError):
        return plain(f"{error.ename}: {error.evalue}")
    return plain(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    try:
        summarize(sys.argv[1])
    except Exception as error:
        sys.exit(f"no new summary of {sys.argv[1]}: {reason(error)}. Mend this, then run the same command again")
    print(Path(sys.argv[1], "summary/comparison.txt").read_text(encoding="utf-8"))
    print(f"Page with all figures: {sys.argv[1]}/summary/index.html")
