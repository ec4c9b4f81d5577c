"""The report as text: what it holds, what it must not hold, and that nothing from outside becomes markup."""

import base64
import dataclasses
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from tests.reporting.samples import CANDIDATES, GROUPS, make_first_report, make_images, make_ledger, make_report
from unlearn_audit.auditing.briefly import PLACES, answer_word
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.registry import Registry
from unlearn_audit.reporting import sections
from unlearn_audit.reporting.choices import LOCAL, PublishChoices
from unlearn_audit.reporting.html import AuditSource, render_html, script_json, write_html
from unlearn_audit.reporting.pictures import Pictures

pytestmark = pytest.mark.slow

SECTIONS = [
    "neighbourhood",
    "pair",
    "questions",
    "strata",
    "remembered",
    "examples",
    "classes",
    "cost",
    "controls",
    "provenance",
    "limits",
]


class Reader(HTMLParser):
    """Collects tags, attributes and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.inside, self.bodies = [], [], None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.bodies.setdefault(self.inside, []).append(data)
        else:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def render(report=None, *, images=None, static=False, **choices):
    source = AuditSource(report or make_report(), make_ledger(), images)
    return render_html([source], choices=dataclasses.replace(LOCAL, **choices), static=static)


@pytest.fixture(scope="module")
def page():
    return render(images=make_images())


def test_sections_stand_in_the_order_of_reading(page):
    places = [page.index(f'<section id="audit-0-{name}"') for name in SECTIONS]
    assert page.index('aria-label="Verdicts"') < places[0]
    assert places == sorted(places)


@pytest.mark.parametrize("name", sections.registry.names())
def test_a_section_has_the_name_of_its_file_and_one_place_on_the_page(page, name):
    section = sections.registry.load(name)
    assert section.id == name
    assert [s.order for s in sections.ordered()].count(section.order) == 1
    if not section.at_top and name != "elsewhere":  # which stands there where something was made elsewhere
        start = page.index(f'<section id="audit-0-{name}"')
        assert f'-{name}-title">{section.title} <a' in page[start : page.index("</section>", start)]
        assert page.count(f'<a href="#audit-0-{name}">{section.entry or section.title}</a>') == 1


def test_a_new_section_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "added.py").write_text(
        "from unlearn_audit.reporting.sections import Section\n"
        "__all__ = ['added']\n"
        "def values(shown):\n"
        "    return {'title': shown.report.title}\n"
        "added = Section('added', 'Added', order=25, template='<p class=new>{{ title }}</p>', values=values)\n"
    )
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    monkeypatch.setattr(sections, "registry", Registry(sections.__name__, "report section"))
    page = render(make_report(title=EVIL))
    assert page.index('">Stratum by stratum <a') < page.index('">Added <a') < page.index('">Examples that')
    assert "<p class=new>&lt;script&gt;alert(" in page
    assert '<a href="#audit-0-added">Added</a>' in page
    monkeypatch.delitem(sys.modules, f"{sections.__name__}.added")


def test_a_section_without_anything_to_show_is_left_out_of_page_and_contents():
    page = render_html([AuditSource(make_report(controls=None))])
    for name in ("controls", "examples", "classes"):
        assert f"audit-0-{name}" not in page
    assert "audit-0-limits" in page


def test_every_candidate_and_the_original_have_three_answers_with_their_sentences(page):
    words, report = Reader(page).words, make_report()
    for name in (*CANDIDATES, "original"):
        for answer, told in zip(report.judgements[name].answers, report.judgements[name].sentences, strict=True):
            assert f"{TITLES[answer.question]} {answer_word(answer)} {told}" in words
    assert "Compared with K = 4 retrained models" in words
    assert "5 points of mean confidence" in words and "0.045 bits" in words and "alpha 0.05" in words


def test_the_worst_candidate_stands_first(page):
    report = make_report()
    order = worst_first(report)
    places = [re.search(rf"</span>\s+{name.replace('_', ' ')}</h3>", page).start() for name in order]
    assert places == sorted(places)
    outcomes = [report.verdicts[name].outcome for name in order]
    assert outcomes == sorted(outcomes, key=["fail", "inconclusive", "pass"].index)


def test_answers_that_are_withheld_are_not_told():
    report = make_report()
    judgements = {n: dataclasses.replace(j, withheld=True) for n, j in report.judgements.items()}
    words = Reader(render(dataclasses.replace(report, judgements=judgements))).words
    assert (
        words.count("Forgotten? withheld") == len(CANDIDATES) + 2
    )  # the original's, and the row that sets two side by side
    assert "no: remembers" not in words


def test_a_report_of_the_first_version_keeps_its_verdict_and_names_its_version():
    report = make_first_report()
    words = Reader(render(report)).words
    assert report.verdicts["gradient_ascent"].reason in words
    assert "first version of the verdict (unlearn-audit 0.1.0)" in words
    assert "Neighbours unharmed?" not in words


def test_each_finding_has_its_row(page):
    table = page[page.index('id="audit-0-questions"') : page.index('id="audit-0-strata"')]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    judgements = make_report().judgements
    expected = [judgements[name] for name in (*worst_first(make_report()), "original")]
    by_kind = [
        finding
        for judgement in expected
        for kind in ("level", "pattern")
        for answer in judgement.answers
        for finding in answer.findings
        if finding.kind == kind
    ]
    assert len(rows) == len(by_kind) == 4 * 2 * len(GROUPS)
    for (title, cells), finding in zip(rows, by_kind, strict=True):
        scale = 100 if finding.kind == "level" else 1
        found = [cell.replace("\N{MINUS SIGN}", "-") for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells)]
        assert title == PLACES[finding.group]
        assert int(found[0]) == finding.count
        figures = (finding.value, finding.expected, finding.difference)
        assert [float(text) for text in found[1:4]] == pytest.approx([scale * f for f in figures], abs=0.051)
        low, high = (float(text) for text in found[4].split(" to "))
        assert [low, high] == pytest.approx([scale * finding.lower, scale * finding.upper], abs=0.051)
        assert ('class="over"' in cells) == finding.fails(0.05)


def test_the_examples_that_are_remembered_most_are_listed_in_order(page):
    ledger = make_ledger()
    known = ledger["random_labels.remembered"].to_numpy(zero_copy_only=False)
    ids = ledger["example_id"].to_pylist()
    assert [p for p, v in zip(ledger["population"].to_pylist(), known, strict=True) if v == v] == ["forget"] * 20
    expected = [
        ids[row] for row in sorted(range(len(ids)), key=lambda row: -np.nan_to_num(known[row])) if known[row] > 0
    ]
    section = page[page.index('id="audit-0-remembered"') : page.index('id="audit-0-examples"')]
    mine = section[section.index("random labels") : section.index("local teacher")]
    assert expected and re.findall(r'<span class="id">(.*?)</span>', mine) == expected[:10]


def test_remembered_examples_are_not_shown_where_ids_may_not_be():
    assert "audit-0-remembered" not in render(include_forget_ids=False, images=make_images())


def test_table_by_stratum_holds_the_reports_figures(page):
    report = make_report()
    nearest = report.comparison("gradient_ascent", "retain", "js").strata[0]
    row = re.search(r"<tr><th scope=\"row\">0: nearest 20 %</th>(.*?)</tr>", page[page.index('id="audit-0-strata"') :])
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[1])
    assert cells[0] == str(nearest.count)
    assert float(cells[1]) == pytest.approx(nearest.discrepancy, rel=0.005)
    assert float(cells[3]) == pytest.approx(nearest.ratio, rel=0.005)


def test_nothing_is_fetched(page):
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "action", "srcset", "data"):
            address = attributes.get(name) or ""
            assert not address or address.startswith(("data:", "#")), (tag, address)
    assert "@import" not in page
    assert not re.search(r"url\((?!data:)", page)


def test_content_policy_allows_exactly_the_style_and_script_that_are_there(page):
    reader = Reader(page)
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    for kind in ("style", "script"):
        body = reader.bodies[kind][-1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [tag for tag, attributes in reader.tags if "style" in attributes]
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]


EVIL = '<script>alert("x")</script>'


def test_class_names_ids_and_titles_are_only_ever_text():
    names = (EVIL, "</script><img src=x onerror=alert(1)>", "a & b", "'\"", *"456789")
    report = make_report(class_names=names, title=EVIL)
    report = dataclasses.replace(report, models=tuple(dataclasses.replace(m, model_id=EVIL) for m in report.models))
    page = render(report)
    expected = Reader(render())
    found = Reader(page)
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in expected.tags]
    assert EVIL in found.words
    data = json.loads(found.bodies["script"][0])
    assert data["audits"][0]["classes"]["retain"]["classes"][0]["name"] in names


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}


def pictures(page):
    return [a["src"] for t, a in Reader(page).tags if t == "img" and a["src"].startswith("data:image/png")]


def test_no_pictures_without_images():
    page = render()
    assert pictures(page) == []
    assert "No images are embedded" in Reader(page).words


def test_pictures_of_the_forget_set_only_when_asked(page):
    images = make_images()
    ledger = make_ledger().to_pydict()
    shown = Pictures.of(images)
    forgotten = {
        shown.address(i) for i, p in zip(ledger["example_id"], ledger["population"], strict=True) if p == "forget"
    }
    assert not forgotten & set(pictures(page))
    assert "Images of the forget set are not embedded" in Reader(page).words
    asked = render(images=images, include_forget_images=True)
    assert forgotten & set(pictures(asked))
    assert "embeds images of the forget set" in Reader(asked).words


def test_ids_of_the_forget_set_can_be_left_out():
    ledger = make_ledger().to_pydict()
    forgotten = {i for i, p in zip(ledger["example_id"], ledger["population"], strict=True) if p == "forget"}
    shown = set(re.findall(r'<span class="id">(.*?)</span>', render()))
    hidden = set(re.findall(r'<span class="id">(.*?)</span>', render(include_forget_ids=False)))
    assert shown & forgotten
    assert hidden and not hidden & forgotten


def test_gallery_holds_the_greatest_excess():
    ledger = make_ledger()
    excess = ledger["gradient_ascent.excess"].to_numpy()
    population = ledger["population"].to_numpy(zero_copy_only=False)
    worst = ledger["example_id"].to_pylist()[
        max((i for i in range(len(excess)) if population[i] != "forget"), key=excess.__getitem__)
    ]
    assert re.search(r'data-example="(.*?)"', render())[1] == worst


def test_static_report_runs_no_script_and_hides_no_table_of_the_shown_measure():
    page = render(static=True)
    reader = Reader(page)
    assert "script" not in [tag for tag, _ in reader.tags]
    assert all("open" in attributes for tag, attributes in reader.tags if tag == "details")
    assert sum(t == "img" and a["src"].startswith("data:image/svg") for t, a in reader.tags) == 3


def test_misbehaving_controls_stand_at_the_top():
    report = make_report()
    controls = dataclasses.replace(report.controls, alarms=("The untrained model does not fail.",))
    page = render(dataclasses.replace(report, controls=controls))
    assert page.index("The untrained model does not fail.") < page.index('class="verdict-list"')


def test_withheld_verdict_is_no_verdict():
    report = make_report()
    verdicts = {n: dataclasses.replace(v, outcome="inconclusive", withheld=True) for n, v in report.verdicts.items()}
    page = render(dataclasses.replace(report, verdicts=verdicts))
    assert page.count('<span class="badge none">No verdict</span>') == 3


def test_several_audits_are_compared():
    page = render_html([AuditSource(make_report(), make_ledger()), AuditSource(make_report(title="Another"))])
    reader = Reader(page)
    assert sum(a.get("class") == "audit" for t, a in reader.tags if t == "article") == 2
    assert "The audits side by side" in reader.words
    assert len(json.loads(reader.bodies["script"][0])["audits"]) == 2


def test_write_html_returns_the_file(tmp_path):
    path = write_html(make_report(), None, tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.slow
def test_a_report_on_as_many_examples_as_imagenet_has_stays_below_a_megabyte():
    """1.28 million examples of 1,000 classes, with photographs of those that suffer most."""
    n, classes = 1_280_000, 1000
    small = make_ledger()
    rows = np.arange(n) % len(small)
    ids = pa.array(np.char.add("train-", np.arange(n).astype(str)))
    ledger = small.take(pa.array(rows)).set_column(0, "example_id", ids)
    ledger = ledger.set_column(ledger.column_names.index("label"), "label", pa.array(np.arange(n) % classes))
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)

    every = np.broadcast_to(pixels, (n, *pixels.shape))
    photographs = SimpleNamespace(ids=ids.to_numpy(zero_copy_only=False), pixels=every)
    source = SimpleNamespace(train=photographs, test=SimpleNamespace(ids=[], pixels=[]))
    report = make_report(class_names=tuple(f"class number {i}" for i in range(classes)))
    choices = PublishChoices(include_forget_ids=True, include_forget_images=True)
    page = render_html([AuditSource(report, ledger, source)], choices=choices)
    assert page.count("data:image/jpeg") > 20
    assert len(page.encode()) < 1_000_000
