"""Sphinx's settings for the site: pages of what was written and executed here; nothing is executed or fetched."""

import json
import re
from os.path import normpath
from pathlib import PurePath

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

html_title = "[Re] SqueezeNet on MNIST"
html_theme = "furo"
html_copy_source = False
html_math_renderer = "mathml"
root_doc = "README"
include_patterns = ["*.md", "paper/README.md", "notebooks/**"]
include_patterns += ["outputs/reference/*.*", "outputs/reference/fire10-dense/*"]
exclude_patterns = ["notebooks/summary.ipynb"]  # the study's page shows what it shows
extensions = ["myst_nb"]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "toc.not_included"]
MENU = """
Here too: [the study's page](outputs/reference/summary/index.html), [draw a digit](outputs/reference/draw_a_digit.html).
```{toctree}
:hidden:
:glob:
Report <notebooks/report>
notebooks/first_network
notebooks/why_training_collapses
notebooks/**
```
"""


def link(app, docname, match):
    """A link's Markdown: to a page, to the page with the same notebook, or to GitHub; as it was if it leads nowhere."""
    path = normpath(PurePath(docname).parent / match[2])
    page = f"notebooks/{PurePath(path).stem}"
    if app.project.path2doc(path) in app.project.docnames or not (app.srcdir / path).exists():
        return match[0]
    if path.endswith((".ipynb", ".html")) and page in app.project.docnames:
        return f"[{match[1]}](/{page}.ipynb)"
    if path.endswith(".html"):  # copied as it is
        return f"<a href='{match[2]}'>{match[1]}</a>"
    return f"[{match[1]}](https://github.com/OWNER/REPO/blob/main/{path})"


def fold(text, is_report):
    """A notebook's text with tags for MyST-NB: what Jupyter folds is folded, the report is without code."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        if is_report:
            tags.append("remove-cell" if "notebook-only" in tags else "remove-input")
        elif "jupyter" in cell["metadata"]:
            tags.append("hide-input")
    return json.dumps(notebook)


def read(app, docname, source):
    """Change the text that Sphinx has read; of a notebook that was executed, take that version."""
    executed = app.srcdir / "outputs/reference/summary" / f"{docname.removeprefix('notebooks/')}.ipynb"
    text = executed.read_text() if executed.exists() else source[0] + MENU * (docname == root_doc)
    if docname.startswith("outputs"):
        text = text.replace("one training run", docname.removeprefix("outputs/reference/"))
    text = re.sub(r"!\[([^]]*)\]\(https:[^)]*\)", r"\1", text)  # badges would be fetched from elsewhere
    text = re.sub(r"(?<![!`\w])\[([^]]*)\]\(([^):#]+)\)", lambda match: link(app, docname, match), text)
    source[0] = fold(text, docname == "notebooks/report") if text.startswith("{") else text


def formula(writer, node):
    """Write MathML, which browsers set without a script."""
    text = convert(node.astext(), display="block" if node.tagname == "math_block" else "inline")
    writer.body.append(text.replace('"block"', '"block" style="padding: .5em 0"'))  # else it scrolls in its own box
    raise SkipNode


def setup(app):
    """Sphinx calls this."""
    app.connect("source-read", read)
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
