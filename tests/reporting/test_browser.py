"""The report in a real browser, opened from disk."""

import base64
import re
from itertools import pairwise

import pytest

from tests.reporting.browser import open_browser
from tests.reporting.samples import make_images, make_ledger, make_report
from unlearn_audit.reporting.html import AuditSource, write_comparison, write_html

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_html(make_report(), make_ledger(), path, images=make_images())


@pytest.fixture(scope="module")
def window():
    with open_browser() as window:
        yield window


@pytest.fixture
def browser(window, path):
    window.resize(1280)
    window.open(path)
    return window


def line(browser, place=0):
    return browser.all("[data-chart=neighbourhood] .canvas path.line")[place].get_attribute("d")


def visible_tables(browser):
    return [
        (t.get_attribute("data-measure"), t.get_attribute("data-population"))
        for t in browser.shown("section[id$=strata] [data-table]")
    ]


def test_it_asks_for_nothing_and_says_nothing_in_the_console(browser, path):
    browser.choose("[data-choose=measure]", "confidence_gap")
    browser.choose("[data-choose=stratum]", "0")
    assert browser.requests() == [path.as_uri()]
    assert browser.console() == []


def test_measure_and_population_change_chart_and_tables(browser):
    assert visible_tables(browser) == [("js", "retain")]
    before = line(browser)
    browser.choose("[data-choose=measure]", "confidence_gap")
    assert line(browser) != before
    browser.choose("[data-choose=population]", "test")
    assert visible_tables(browser) == [("confidence_gap", "test")]
    assert "confidence gap, test set" in browser.one("[data-title]").text
    assert "confidence gap" in browser.one("[data-chart=neighbourhood] svg[role=img]").get_attribute("aria-label")


def columns(browser):
    return [cell.text for cell in browser.shown("[data-pair] thead [data-column]")]


def test_two_candidates_stand_side_by_side(browser):
    assert len(columns(browser)) == 2
    browser.choose("[data-choose=left]", "gradient_ascent")
    browser.choose("[data-choose=right]", "random_labels")
    assert set(columns(browser)) == {"gradient ascent", "random labels"}
    words = [cell.text for cell in browser.shown("[data-pair] tbody tr:nth-child(2) td[data-column]")]
    assert set(words) == {"no: over-forgets", "no: predicts otherwise"}


def test_what_is_chosen_stands_in_the_address_and_comes_back_with_it(browser, window, path):
    browser.choose("[data-choose=measure]", "confidence_gap")
    browser.choose("[data-choose=population]", "test")
    address = browser.run("return location.href")
    assert address.startswith(f"{path.as_uri()}#audit-0-neighbourhood?")
    window.open(path)
    assert visible_tables(browser) == [("js", "retain")]
    window.driver.get("about:blank")
    window.driver.get(address)
    assert visible_tables(browser) == [("confidence_gap", "test")]
    assert browser.run("return window.scrollY") > 0
    window.driver.get("about:blank")
    window.driver.get(f"{path.as_uri()}#audit-0-strata?audit-0.measure=<none>&audit-9.x=1")
    assert visible_tables(browser) == [("js", "retain")]
    assert [said for said in browser.console() if "SEVERE" in said] == []


def test_a_printed_report_has_four_pages(browser):
    pages = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert len(re.findall(rb"/Type\s*/Page[^s]", pages)) == 4


def test_by_keyboard_the_first_stop_leads_to_the_verdicts(browser):
    from selenium.webdriver.common.keys import Keys

    browser.one("body").send_keys(Keys.TAB)
    first = browser.driver.switch_to.active_element
    assert first.text == "To the verdicts" and first.is_displayed()
    first.send_keys(Keys.ENTER)
    assert browser.run("return location.hash") == "#verdicts"


def test_a_screen_reader_finds_a_name_for_everything(browser):
    """Every menu has a label, every picture a text, every section its heading, and headings skip no level."""
    unnamed = browser.run("""
        const text = (e) => e.getAttribute("aria-label") || e.closest("label")?.innerText || e.innerText || "";
        const named = (e) => text(e).trim();
        return [...document.querySelectorAll("select, button, a, summary")].filter((e) => !named(e)).length;
    """)
    assert unnamed == 0
    assert browser.run("return [...document.images].filter((i) => !i.hasAttribute('alt')).length") == 0
    assert (
        browser.run("""
        return [...document.querySelectorAll("section[aria-labelledby]")]
            .filter((s) => !document.getElementById(s.getAttribute("aria-labelledby"))).length;
    """)
        == 0
    )
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1 and all(later - earlier <= 1 or earlier == 1 for earlier, later in pairwise(levels))
    assert browser.run("return document.documentElement.lang") == "en"


def test_the_table_by_stratum_shows_the_chosen_model(browser):
    def shown():
        return [body.get_attribute("data-model") for body in browser.shown("section[id$=strata] tbody")]

    assert shown() == ["gradient_ascent"]
    browser.choose("[data-choose=model]", "original")
    assert shown() == ["original"]
    browser.choose("[data-choose=model]", "")
    assert len(shown()) == 5


def test_scale_changes_the_chart(browser):
    before = line(browser)
    browser.choose("[data-choose=scale]", "linear")
    assert line(browser) != before


def test_the_chart_has_a_line_for_each_model_and_the_floor_as_a_band(browser):
    assert len(browser.all("[data-chart=neighbourhood] .canvas path.line")) == 4  # the untrained one is hidden at first
    assert len(browser.all("[data-chart=neighbourhood] .canvas path.band")) == 1
    hidden = browser.one("[data-chart=neighbourhood] .legend [aria-pressed=false]")
    assert "untrained" in hidden.text
    browser.press(hidden)
    assert len(browser.all("[data-chart=neighbourhood] .canvas path.line")) == 5


def test_gallery_is_filtered_by_stratum_and_class(browser):
    everything = browser.shown("[data-example]")
    assert browser.one("[data-count]").text == f"{len(everything)} examples"
    stratum = everything[0].get_attribute("data-stratum")
    browser.choose("[data-choose=stratum]", stratum)
    some = browser.shown("[data-example]")
    assert {e.get_attribute("data-stratum") for e in some} == {stratum}
    label = some[0].get_attribute("data-label")
    browser.choose("[data-choose=class]", label)
    few = browser.shown("[data-example]")
    assert {e.get_attribute("data-label") for e in few} == {label}
    assert 0 < len(few) < len(everything)


def test_all_pictures_are_decoded(browser):
    assert browser.run("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert browser.run("return document.images.length") > 0


@pytest.mark.parametrize("width", [360, 820, 1360])
def test_nothing_is_wider_than_the_window(browser, path, width):
    browser.resize(width)
    browser.open(path)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ_and_text_can_be_read(browser):
    papers = []
    for dark in (True, False):
        browser.darken(dark)
        style = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        text, paper = (luminance(c) for c in browser.run(style))
        assert (max(text, paper) + 0.05) / (min(text, paper) + 0.05) > 7
        papers.append(paper)
    assert papers[0] < papers[1]


def luminance(css):
    """Return the relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    channels = [int(part) / 255 for part in css[css.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_hostile_class_name_runs_nothing(window, tmp_path):
    names = ("<script>document.title='hacked'</script>", "<img src=x onerror=\"document.title='hacked'\">", *"23456789")
    page = write_html(make_report(class_names=names), make_ledger(), tmp_path / "report.html", images=make_images())
    window.open(page)
    assert window.driver.title == "Unlearning audit of digits"
    assert window.console() == []


def test_several_audits_each_have_their_charts(window, tmp_path):
    audits = [AuditSource(make_report(), make_ledger()), AuditSource(make_report(title="Another"), make_ledger())]
    page = write_comparison(audits, tmp_path / "report.html")
    window.open(page)
    assert len(window.shown("[data-chart=neighbourhood] .canvas svg")) == 2
    window.choose("#audit-1 [data-choose=population]", "test")
    titles = [title.text for title in window.all("[data-title]")]
    assert titles == ["Jensen-Shannon divergence, retain set", "Jensen-Shannon divergence, test set"]
    assert window.console() == []


def test_the_static_report_shows_its_charts_as_pictures(window, tmp_path):
    page = write_html(make_report(), make_ledger(), tmp_path / "r.html", static=True)
    window.open(page)
    assert len(window.shown(".canvas img")) == 3
    assert window.run("return [...document.images].every((i) => i.naturalWidth > 0)")
    assert window.console() == []
