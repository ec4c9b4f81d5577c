"""The paper's finding on real images, on fixed seeds; and a small part of the study on the real CIFAR-100."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.sharing import audit_of
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.experiment import read_study

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, folder: Path, *settings: str, keep: set[str]) -> AuditReport:
    """Run an example's study with fewer methods."""
    path = EXAMPLES / name
    dropped = set(yaml.safe_load(path.read_text(encoding="utf-8"))["methods"]) - keep
    config = read_study(path, settings=[*settings, *(f"methods.{m}=false" for m in sorted(dropped))])
    return audit_of(config, folder)


def ratios(report: AuditReport, model: str, population: str = "retain") -> list[float]:
    return [s.ratio for s in report.comparison(model, population, "js").strata if s.ratio is not None]


def confidence_lost(report: AuditReport, model: str) -> float:
    """How far its mean confidence on the deleted examples is below the retrained models'."""
    forgotten = next(a for a in report.judgements[model].answers if a.question == "forgotten")
    return -next(f.difference for f in forgotten.findings if f.kind == "level")


@pytest.mark.slow
def test_collateral_forgetting_is_localized_on_digits(studies) -> None:
    half = ("forget.fraction=0.5", "forget.atypical=false", "training.epochs=20", "training.augment=true")
    gentle = ("methods.ltd.training.learning_rate=1e-4", "methods.gradient_ascent.training.learning_rate=1e-3")
    support = (
        "methods.ltd.n_support=1000"  # the paper's; on few examples the teacher stops before its BatchNorm settles
    )
    settings = (*half, *gentle, support, "methods.gradient_ascent.training.epochs=5", "references=3")
    report = run("digits.yaml", studies, *settings, keep={"gradient_ascent", "random_labels_ft", "ltd"})
    ascent, random, local = (ratios(report, name) for name in ("gradient_ascent", "random_labels_ft", "ltd"))
    assert ascent[0] > 8 and ascent[0] > 3 * ascent[-1]
    assert random[0] > 4 and random[0] > 3 * random[-1]
    assert local[0] < 0.5 * random[0]
    assert ratios(report, "original")[0] < 2
    for name in ("retrained-1", "retrained-2", "retrained-3"):
        assert 0.4 < ratios(report, name)[0] < 2.5
    accuracy = report.aggregate["random_labels_ft"]
    assert accuracy.retain_accuracy > 0.98 and accuracy.test_accuracy > 0.95  # while the nearest stratum fails
    assert report.verdicts["gradient_ascent"].outcome == report.verdicts["random_labels_ft"].outcome == "fail"
    assert confidence_lost(report, "ltd") < 0.5 * confidence_lost(report, "random_labels_ft")
    assert min(ratios(report, "untrained")) > 20


@pytest.mark.slow
@pytest.mark.cifar100
def test_a_small_part_of_the_cifar100_study(tmp_path, cifar100_folder) -> None:
    report = run(
        "cifar100_resnet20.yaml",
        tmp_path,
        f"data.source={cifar100_folder}",
        "model.name=vit_tiny_patch16_224",  # of this size the quickest by far on a CPU
        "model.arguments={img_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2}",
        "predictions.precision=float32",  # many times faster than bfloat16 where there are no instructions for it
        "training.epochs=0.05",
        "references=2",
        "methods.gradient_ascent.training.epochs=1",
        keep={"gradient_ascent"},
    )
    assert report.forget_set.size == 250
    assert sum(s.counts["retain"] for s in report.strata) == 49_750
    assert sum(s.counts["test"] for s in report.strata) == 10_000
    assert report.strata[0].label == "nearest 0.5 %"
    assert report.comparison("gradient_ascent", "retain", "js").strata[0].floor > 0
    assert report.verdicts["gradient_ascent"].outcome == "inconclusive"  # two references allow no verdict
