"""Makes the pictures of docs/: a report wide and on a phone, a model card, and the example Space.

    unlearn-audit demo
    python -m tests.reporting.screenshots runs/digits/report docs

The card is laid out as the Hub does it, in its width, with the published audit's own curve.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reporting.browser import Browser, open_browser

APP = Path(__file__).parents[2] / "examples" / "space" / "app.py"
CANDIDATE = "gradient_ascent"
COLOURS = 160  # of a picture, which keeps it small
CARD = """<meta charset="utf-8"><style>
body {{max-width: 46rem; margin: 1.5rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif}}
table {{border-collapse: collapse}} th:empty {{display: none}}
td {{border-bottom: 1px solid #ddd; padding: .5em .7em; vertical-align: top}} img {{max-width: 100%}}
blockquote {{border-left: 4px solid #b3420a; margin: 0; padding: .1em 1em; background: #fbf3ee}}
code {{font-size: .85em}} pre {{background: #f4f4f4; padding: .8em}}
</style>{body}"""


@contextmanager
def serving(report: Path) -> Iterator[str]:
    """Start the Space with a report's folder, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([sys.executable, str(APP), str(report)], env={**os.environ, **settings}) as app:
        try:
            while app.poll() is None and socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.3)
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()


def write_card_page(report: Path, folder: Path) -> Path:
    """Lay out in `folder` what would be published of a candidate, and return its card as a page."""
    import markdown

    from unlearn_audit.experiment.study import model_folder_of
    from unlearn_audit.publishing.publication import prepare_publication
    from unlearn_audit.reporting.choices import PublishChoices

    choices = PublishChoices(candidate=CANDIDATE, allow_failing=True)
    model = model_folder_of(report, CANDIDATE)
    prepare_publication(report, model, folder, repo_id="you/digits", choices=choices)
    text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    page = folder / "card.html"
    body = markdown.markdown(text, extensions=["tables", "fenced_code", "md_in_html"])
    page.write_text(CARD.format(body=body), encoding="utf-8")
    return page


def save(browser: Browser, path: Path) -> None:
    """Save what the window shows, in few colours."""
    from PIL import Image

    browser.driver.save_screenshot(str(path))
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def make(report: Path, target: Path) -> None:
    """Write report.png, report-phone.png, card.png and space.png."""
    with TemporaryDirectory() as folder, open_browser() as browser:
        browser.darken(False)
        for name, width, height in (("report", 1200, 1000), ("report-phone", 390, 844)):
            browser.resize(width, height)
            browser.open(report / "report.html")
            save(browser, target / f"{name}.png")
        browser.resize(900, 900)
        browser.open(write_card_page(report, Path(folder) / "staged"))
        save(browser, target / "card.png")
        with serving(report) as address:
            browser.resize(1200, 1000)
            browser.driver.get(address)
            while not browser.all(".chart img"):
                time.sleep(0.3)
            time.sleep(2)  # until fonts and tables are there
            save(browser, target / "space.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder of a study's report, with several candidates")
    parser.add_argument("target", type=Path, help="folder for the pictures")
    given = parser.parse_args()
    make(given.report.resolve(), given.target)
