"""The Gradio app: started as a person starts it, and asked as its page asks."""

import html
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.reporting.browser import open_browser
from tests.reporting.samples import make_ledger, make_report
from unlearn_audit.auditing.report import AuditReport

pytestmark = pytest.mark.slow
APP = Path(__file__).parents[2] / "examples" / "space" / "app.py"
handle_file = pytest.importorskip("gradio_client", reason="gradio is not installed").handle_file
gradio_client = pytest.importorskip("gradio_client", reason="gradio is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("report")
    (folder / "report.json").write_text(make_report().to_json(), encoding="utf-8")
    pq.write_table(make_ledger(), folder / "examples.parquet")
    return folder


@pytest.fixture(scope="module")
def client(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        [sys.executable, str(APP), str(folder)], env={**os.environ, **settings}, stdout=subprocess.DEVNULL
    ) as app:
        try:
            found = connected(app, port)
            found.address = f"http://127.0.0.1:{port}"
            yield found
        finally:
            app.terminate()


def connected(app, port):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and app.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False)
        time.sleep(0.3)
    raise AssertionError(f"the app did not start: {app.poll()}")


def ask(client, model="gradient_ascent", measure="js", population="retain", stratum="every stratum"):
    return client.predict(model, measure, population, stratum, api_name="/answer")


def test_it_answers_with_the_reports_figures(client):
    picture, strata, examples = ask(client)
    assert picture.startswith('<img src="data:image/svg+xml;base64,')
    nearest = make_report().comparison("gradient_ascent", "retain", "js").strata[0]
    row = dict(zip(strata["headers"], strata["data"][0], strict=True))
    assert float(row["discrepancy"]) == pytest.approx(nearest.discrepancy, rel=0.005)
    excesses = [row[-1] for row in examples["data"]]
    assert excesses == sorted(excesses, reverse=True)


def test_stratum_and_population_choose_the_examples(client):
    _, _, examples = ask(client, population="test", stratum="1: 20-40 %")
    assert examples["data"]
    assert all(row[0].startswith("test-") for row in examples["data"])
    assert {row[2] for row in examples["data"]} == {"1: 20-40 %"}


def test_another_model_gives_another_table(client):
    assert ask(client, model="random_labels")[1] != ask(client, model="original")[1]


def test_its_page_tells_the_three_answers_of_each_candidate_and_of_the_original(client):
    texts = [part["props"].get("value") for part in client.config["components"] if part["type"] == "html"]
    told = next(text for text in texts if isinstance(text, str) and "Forgotten?" in text)
    report = make_report()
    for name in (*report.verdicts, "original"):
        for sentence in report.judgements[name].sentences:
            assert html.escape(sentence) in told


@pytest.fixture(scope="module")
def window():
    with open_browser() as window:
        yield window


def wait_for(window, condition):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come")


def test_uploaded_predictions_get_three_answers(client, saved_report):
    """They are those of the command on the same files."""
    folder = saved_report.parent
    damaged, forget, original = (handle_file(folder / n) for n in ("damaged.parquet", "forget.txt", "original.parquet"))
    references = [handle_file(path) for path in sorted(folder.glob("retrained-*.parquet"))]
    text = client.predict(damaged, references, forget, original, api_name="/audit")
    assert all(title in text for title in ("Forgotten?", "Neighbours unharmed?", "Everything else unharmed?"))
    judged = AuditReport.load(saved_report).judgements["damaged"]
    assert all(html.escape(sentence.partition(".")[0]) in text for sentence in judged.sentences)


def test_the_page_has_a_tab_for_ones_own_predictions(client, window):
    window.resize(1280)
    window.driver.get(client.address)
    wait_for(window, lambda: [tab for tab in window.all("button[role=tab]") if "Your predictions" in tab.text])


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(client, window, width, dark):
    window.resize(width)
    window.darken(dark)
    window.driver.get(client.address)
    wait_for(window, lambda: "Forgotten?" in window.run("return document.body.innerText"))
    assert window.run("return document.documentElement.scrollWidth") <= width


def test_files_that_do_not_fit_are_told(client, saved_report):
    folder = saved_report.parent
    files = [
        folder / "damaged.parquet",
        [folder / "retrained-0.parquet"],
        folder / "honest.parquet",
        folder / "original.parquet",
    ]
    handled = [[handle_file(f) for f in file] if isinstance(file, list) else handle_file(file) for file in files]
    assert "No answer." in client.predict(*handled, api_name="/audit")
    assert "at least three" in client.predict(None, None, None, None, api_name="/audit")


def test_the_spaces_versions_are_pinned():
    import yaml

    import unlearn_audit

    folder = APP.parent
    header = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    pinned = dict(line.split("==") for line in (folder / "requirements.txt").read_text().splitlines())
    assert pinned == {"gradio": header["sdk_version"], "unlearn-audit": unlearn_audit.__version__}
    assert len(header["short_description"]) <= 60  # the Hub's limit
