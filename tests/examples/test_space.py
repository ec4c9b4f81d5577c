"""The Gradio app: started as a person starts it, and asked as its page asks."""

import asyncio
import html
import os
import re
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
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
        "GRADIO_MCP_SERVER": str(find_spec("mcp") is not None),
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
    assert '<img src="data:image/svg+xml;base64,' in picture
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


def open_tab(window, client, name, width=1280, dark=False):
    """Open the page anew at the tab of this name."""
    window.resize(1280)  # a narrow page keeps the last tabs in a menu
    window.darken(dark)
    window.driver.get(client.address)
    tab = wait_for(window, lambda: [tab for tab in window.all("button[role=tab]") if tab.text == name])
    tab[0].click()
    window.resize(width)


def put(window, name, *files):
    """Choose files as a person does, and wait until they are there."""
    window.one(f"#{name} input[type=file]").send_keys("\n".join(map(str, files)))
    wait_for(window, lambda: len(window.all(f"#{name} .file")) == len(files))


def press_audit(window):
    (button,) = [button for button in window.shown("button") if button.text == "Audit"]
    window.press(button)


WINDOWS = {"wide": (1360, False), "phone": (390, False), "wide and dark": (1360, True), "phone and dark": (390, True)}


@pytest.mark.parametrize(("width", "dark"), WINDOWS.values(), ids=WINDOWS)
def test_predictions_that_are_put_into_the_page_get_three_answers(client, window, saved_report, width, dark):
    folder = saved_report.parent
    open_tab(window, client, "Your predictions", width, dark)
    put(window, "unlearned", folder / "damaged.parquet")
    put(window, "retrained", *sorted(folder.glob("retrained-*.parquet")))
    put(window, "forgotten", folder / "forget.txt")
    put(window, "original", folder / "original.parquet")
    press_audit(window)
    words = [each.text for each in wait_for(window, lambda: window.shown("#answers tbody tr:first-child td"))]
    answers = AuditReport.load(saved_report).judgements["damaged"].answers
    starts = {"pass": "yes", "fail": "no: ", "inconclusive": "not settled"}
    assert len(words) == 3
    assert all(word.startswith(starts[answer.outcome]) for word, answer in zip(words, answers, strict=True))
    assert {"Forgotten?", "yours"} <= set(window.run("return document.querySelector('#answers').innerText").split())
    assert window.run("return document.documentElement.scrollWidth") <= width
    assert contrast(window, "#answers tbody td") >= 4.5
    assert window.shown("#answers details[open] li")


def contrast(window, selector):
    """Return the contrast of a text with what it stands on, as WCAG 2 defines it."""
    colours = window.run(
        f"""
        let element = document.querySelector({selector!r}), found = [getComputedStyle(element).color]
        while (element && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(element).backgroundColor))
            element = element.parentElement
        return [...found, element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)']
        """
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    shares = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_what_is_missing_is_told_on_the_page(client, window):
    open_tab(window, client, "Your predictions")
    press_audit(window)
    assert "No answer." in wait_for(window, lambda: window.shown("#answers [role=alert]"))[0].text


def test_a_benchmark_s_retrained_models_answer_for_one_file(client, window, tmp_path):
    from unlearn_audit.calibration.benchmark import Benchmark
    from unlearn_audit.saved.running import run_audit

    benchmark = Benchmark.find("digits", tmp_path)
    (original, *_) = benchmark.models("originals").values()
    judged = run_audit(benchmark.request({"yours": original})).report.judgements["yours"]
    open_tab(window, client, "A benchmark")
    put(window, "on-benchmark", original.predictions[0])
    press_audit(window)
    wait_for(window, lambda: window.shown("#benchmark-answers tbody td"))
    told = " ".join(window.one("#benchmark-answers").text.split())
    assert all(" ".join(sentence.partition(".")[0].split()) in told for sentence in judged.sentences)
    assert "No answer." in client.predict("digits", None, api_name="/benchmark")


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(client, window, width, dark):
    window.resize(width)
    window.darken(dark)
    window.driver.get(client.address)
    wait_for(window, lambda: "over-forgets" in window.run("return document.body.innerText"))
    assert window.run("return document.documentElement.scrollWidth") <= width


def test_an_agent_finds_its_tools_by_mcp(client):
    """Files of an agent need a public address, which gradio insists on, and so are not tried here."""
    mcp = pytest.importorskip("mcp", reason="mcp is not installed: pip install 'gradio[mcp]'")
    by_http = pytest.importorskip("mcp.client.streamable_http").streamablehttp_client

    async def ask():
        async with (
            by_http(f"{client.address}/gradio_api/mcp/") as (reading, writing, _),
            mcp.ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools, await session.call_tool("verdicts", {})

    tools, told = asyncio.run(ask())
    described = {tool.name: tool.description for tool in tools}
    assert described.keys() == {"answer", "answers", "benchmark_answers", "verdicts"} and all(described.values())
    assert "no: over-forgets. It over-forgets" in told.content[0].text


def test_it_tells_its_answers_to_programs(client):
    told, report = client.predict(api_name="/verdicts"), make_report()
    for name in report.verdicts:
        answers = told[name.replace("_", " ")].values()
        sentences = report.judgements[name].sentences
        assert all(answer.endswith(said) for answer, said in zip(answers, sentences, strict=True))


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
    assert pinned == {"gradio[mcp]": header["sdk_version"], "unlearn-audit": unlearn_audit.__version__}
    assert len(header["short_description"]) <= 60  # the Hub's limit
