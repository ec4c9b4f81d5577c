"""What a terminal of 100 columns shows of a report: nothing wraps, and the worst stands first."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from unlearn_audit.cli.tables import WIDTH, show_report

from tests.reporting.samples import CANDIDATES, GROUPS, make_first_report, make_report
from unlearn_audit.auditing.briefly import LONGEST, brief
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Finding


def shown(report, width=WIDTH):
    text = io.StringIO()
    show_report(report, Path("report"), Console(file=text, width=width, highlight=False))
    return text.getvalue().splitlines()


def row(lines, name):
    return next(line for line in lines if line.startswith(f"{name} ")).split()


def test_every_line_fits_and_no_sentence_is_broken():
    lines = shown(make_report())
    assert max(len(line) for line in lines) <= WIDTH
    findings = [line for line in lines if line.startswith("  ")]
    answers = [a for name in CANDIDATES for a in make_report().judgements[name].answers if a.outcome != "pass"]
    assert len(findings) == len(answers)


def test_a_narrow_terminal_shows_fewer_strata_and_whole_names_and_words():
    lines = shown(make_report(), width=90)
    assert max(len(line) for line in lines) <= 90
    assert row(lines, "local_teacher_distillation")[-3:] == ["?", "yes", "yes"]
    heads = [next(line for line in of if line.startswith("model ")).split() for of in (lines, shown(make_report()))]
    assert {"near", "far"} < set(heads[0]) < set(heads[1])
    assert " ".join(" ".join(lines[-12:]).split()) in " ".join(" ".join(shown(make_report())).split())


def test_each_model_has_its_three_answers_and_the_worst_candidate_stands_first():
    lines = shown(make_report())
    assert row(lines, "gradient_ascent")[-4:] == ["no:", "over-forgets", "no", "yes"]
    assert row(lines, "local_teacher_distillation")[-3:] == ["?", "yes", "yes"]
    assert row(lines, "original")[-4:] == ["no:", "remembers", "yes", "yes"]
    assert row(lines, "untrained")[-4:] == ["no:", "over-forgets", "no", "no"]
    places = [next(i for i, line in enumerate(lines) if line.startswith(name)) for name in (*CANDIDATES, "original")]
    assert places == sorted(places)


def test_a_name_is_never_markup():
    report = make_report()
    models = tuple(dataclasses.replace(m, name="[red]x") if m.name == CANDIDATES[0] else m for m in report.models)
    renamed = {
        key: {"[red]x" if name == CANDIDATES[0] else name: value for name, value in getattr(report, key).items()}
        for key in ("aggregate", "verdicts", "judgements")
    }
    lines = shown(dataclasses.replace(report, models=models, **renamed))
    assert any(line.startswith("[red]x") for line in lines)
    assert any(line.endswith("fail         [red]x") for line in lines)


def test_withheld_answers_are_dashes():
    report = make_report()
    judgements = {n: dataclasses.replace(j, withheld=True) for n, j in report.judgements.items()}
    assert row(shown(dataclasses.replace(report, judgements=judgements)), "gradient_ascent")[-3:] == ["-", "-", "-"]


def test_a_report_of_the_first_version_shows_its_verdicts():
    lines = shown(make_first_report())
    assert row(lines, "gradient_ascent")[-1] == "fail"
    assert any("first version" in line for line in lines)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", ["level", "pattern"])
def test_a_brief_answer_is_brief(group, kind):
    generator = np.random.default_rng(0)
    question = GROUPS[group][0]
    how = "predicts otherwise" if kind == "pattern" else "over-forgets" if group == "forget" else "loses confidence"
    for outcome in ("fail", "inconclusive", "pass"):
        for needed in (3, 1000, None):
            low, difference, high = sorted(generator.uniform(-0.999, 0.999, 3))
            finding = Finding(
                group,
                kind,
                5,
                0.99,
                0.99,
                difference,
                low,
                high,
                0.5,
                0.5,
                references_needed=needed,
                disagreement=0.01,
                reference_disagreement=0.01,
            )
            answer = Answer(question, outcome, how if outcome == "fail" else "", (finding,), 0)
            assert len(brief(answer, Policy())) <= LONGEST
