"""The notebook runs from top to bottom, shows what it says, and is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.shortening import shortened

NOTEBOOK = Path(__file__).parents[2] / "examples" / "audit_on_digits.ipynb"


def test_it_is_kept_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.fixture(scope="module")
def kernels(quick_commands, tmp_path_factory) -> Path:
    """A folder for JUPYTER_PATH with a kernel `quick`, which does not import PyTorch again."""
    folder = tmp_path_factory.mktemp("jupyter")
    launcher = folder / "launcher.py"
    launcher.write_text("from ipykernel.kernelapp import launch_new_instance\n\nlaunch_new_instance()\n")
    kernel = {"display_name": "quick", "language": "python"}
    kernel["argv"] = ["python", str(launcher), "-f", "{connection_file}"]
    kernel["env"] = quick_commands
    (folder / "kernels" / "quick").mkdir(parents=True)
    (folder / "kernels" / "quick" / "kernel.json").write_text(json.dumps(kernel))
    return folder


@pytest.fixture(scope="module")
def executed(kernels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.reads(shortened(NOTEBOOK.read_text(encoding="utf-8"), 8), as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(kernels))
        client = NotebookClient(
            notebook, timeout=300, kernel_name="quick", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return folder, notebook


def outputs_of(notebook, text: str) -> list:
    return next(cell.outputs for cell in notebook.cells if cell.cell_type == "code" and text in cell.source)


@pytest.mark.slow
def test_it_leaves_a_report(executed) -> None:
    folder, _ = executed
    assert (folder / "audit/report/report.html").is_file()


@pytest.mark.slow
def test_it_shows_a_table_a_plot_and_the_verdicts(executed) -> None:
    _, notebook = executed
    assert "stratum 0" in outputs_of(notebook, "pd.DataFrame")[-1].data["text/html"]
    assert "image/png" in outputs_of(notebook, "draw_neighbourhood")[-1].data
    said = outputs_of(notebook, "report.verdicts")[0].text
    assert "random labels + FT: fail" in said and "LTD: " in said and "K = 4" in said
