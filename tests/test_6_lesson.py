"""The lesson, run from top to bottom on the embedded digits, as it stands and with its own solutions filled in."""

import re

import nbformat
import pytest
from conftest import PROJECT, run

LESSON = PROJECT / "notebooks/why_training_collapses.ipynb"
HURRY = {"dataset": "digits", "batch_size": 8, "steps": 20, "epochs": 1}


def lesson(folder, solved, before=None):
    """Run the lesson, up to the heading `before`; return what its cells print, one text an exercise."""
    notebook = nbformat.read(LESSON, 4)
    cells = notebook.cells
    for i, cell in enumerate(cells):
        if "<details><summary>Solution" in cell.source and solved:
            assert "= ..." in cells[i - 2].source or "return ..." in cells[i - 2].source
            cells[i - 2].source = re.search(r"```python\n(.*?)```", cell.source, re.DOTALL)[1]
    ends = [i for i, cell in enumerate(cells) if before and cell.source.startswith(before)]
    notebook.cells = cells[:ends[0]] if before else cells
    nbformat.write(notebook, folder / "lesson.ipynb")
    options = [word for name, value in HURRY.items() for word in ("-p", name, value)]
    done = run("papermill", folder / "lesson.ipynb", folder / "out.ipynb", *options, "--no-progress-bar", folder=PROJECT)
    assert done.returncode == 0, done.stdout[-2000:]
    outputs = [output for cell in nbformat.read(folder / "out.ipynb", 4).cells for output in cell.get("outputs", [])]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    return re.findall(r"^exercise (\d).*?[:,] ?([a-z ]+)$", text, re.MULTILINE)


@pytest.mark.parametrize("solved, answer", [(False, "no answer yet"), (True, "right")])
def test_exercises_without_training(tmp_path, solved, answer):
    said = lesson(tmp_path, solved, before="## What the gradient can reach")
    assert said == [("1", answer)] * 2 + [("2", answer)] * 2


@pytest.mark.slow
def test_the_whole_lesson(tmp_path):
    said = lesson(tmp_path, solved=True)
    assert [number for number, _ in said] == ["1", "1", "2", "2", "3", "4", "5"]
    # the fifth wants a network that reads digits after one epoch: that takes MNIST
    assert [answer for number, answer in said if number != "5"] == ["right"] * 6


def test_a_wrong_answer_is_not_right(tmp_path, capsys):
    import from_notebook

    check = from_notebook.load(LESSON, "check").check
    check("it", 0.1, 0.2)
    assert capsys.readouterr().out == "it: not yet\n"
