import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from unlearn_audit.auditing._margins import klom, u_lira
from unlearn_audit.auditing.discrepancy import ExampleScores
from unlearn_audit.auditing.membership import ATTACKS, auc, beside, clipped_margins, membership_figures
from unlearn_audit.errors import AuditError

POPULATION = np.array(["retain"] * 300 + ["forget"] * 40 + ["test"] * 120)


def scores_of(logits, labels):
    """Scores by their definitions, in float64 by plain formulas."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    own = np.clip(p[rows, labels], 1e-30, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(p > 0, p * np.log(p), 0).sum(1)
        rest = p * np.log(np.clip(1 - p, 1e-30, 1))
    rest[rows, labels] = 0
    modified = -(1 - own) * np.log(own) - rest.sum(1)
    top1 = p.argmax(1)
    return ExampleScores(top1, top1 == labels, own, entropy, modified, np.log(own) - np.log1p(-own))


def models(k, *, memory=0.0, classes=10, seed=0):
    """K references, and a candidate that knows its forget set by `memory` logits more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=len(POPULATION))
    easy = 2 * rng.normal(size=(len(labels), classes))
    easy[np.arange(len(labels)), labels] += 2 + 3 * (POPULATION == "retain")

    def model(extra):
        logits = easy + rng.normal(size=easy.shape)
        logits[np.arange(len(labels)), labels] += extra * (POPULATION == "forget")
        return scores_of(logits, labels)

    return {f"r{i}": model(0.0) for i in range(k)} | {"u": model(memory)}


def test_auc_agrees_with_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    first, second = rng.integers(8, size=60).astype(float) + 1, rng.integers(8, size=90).astype(float)
    expected = roc_auc_score(np.repeat([1, 0], [60, 90]), np.concatenate([first, second]))
    assert auc(first, second) == pytest.approx(expected)
    assert auc(np.ones(3), np.ones(4)) == 0.5


def test_beside_gives_the_prediction_interval_of_one_more_reference():
    found = beside(0.9, [0.5, 0.6, 0.7, 0.4])
    width = stats.t.ppf(0.975, 3) * np.std([0.5, 0.6, 0.7, 0.4], ddof=1) * np.sqrt(1.25)
    assert found.expected == pytest.approx(0.55) and found.gap == pytest.approx(0.35)
    assert (found.lower, found.upper) == (pytest.approx(-width), pytest.approx(width))
    assert found.within == (width >= 0.35)
    assert beside(0.5, [0.5, 0.5, 0.5]).within
    assert beside(0.5, [0.4, 0.6]).lower is None
    assert beside(0.5, []).expected is None


def test_svc_agrees_with_scikit_learn_on_all_examples():
    rng = np.random.default_rng(0)
    members, others, asked = rng.normal(2, 1, 50), rng.normal(0, 1, 50), rng.normal(1, 1, 40)
    population = np.repeat(["retain", "test", "forget"], [50, 50, 40])
    values = np.concatenate([members, others, asked])
    scores = ExampleScores(*(np.zeros(140),) * 2, values, *(np.zeros(140),) * 3)
    found = membership_figures({"u": scores}, population, references=[])["u"]
    machine = SVC(C=3, gamma="auto").fit(values[:100, None], np.repeat([1, 0], 50))
    assert found.svc["confidence"].value == pytest.approx((machine.predict(asked[:, None]) == 0).mean())
    assert found.svc["entropy"].value == 0.5  # constant: nothing to learn from


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_svc_from_rounded_numbers_is_nearly_that_of_all(scale):
    rng = np.random.default_rng(1)
    members, others = scale * rng.exponential(1, 1000), scale * rng.exponential(2, 1000)
    asked = scale * rng.exponential(1.5, 2000)
    values = np.concatenate([members, others, asked])
    population = np.repeat(["retain", "test", "forget"], [1000, 1000, 2000])
    scores = ExampleScores(*(np.zeros(4000),) * 3, values, *(np.zeros(4000),) * 2)
    found = membership_figures({"u": scores}, population, references=[])["u"]
    machine = SVC(C=3, gamma="auto").fit(values[:2000, None], np.repeat([1, 0], 1000))
    expected = (machine.predict(asked[:, None]) == 0).mean()
    assert 0.2 < expected < 0.9
    assert found.svc["entropy"].value == pytest.approx(expected, abs=0.01)


def test_a_candidate_with_memory_is_told_and_a_retrained_one_is_not():
    for memory, told in ((0.0, False), (5.0, True)):
        found = membership_figures(models(6, memory=memory), POPULATION, references=[f"r{i}" for i in range(6)])["u"]
        assert set(found.svc) == set(ATTACKS)
        assert (found.auc > 0.9) == told
        assert found.auc_gap.within != told
        assert found.svc["confidence"].within != told
        assert (found.margin_z > 1) == told


def test_margin_z_of_small_k_pools_the_variance():
    found = models(4)
    references = [f"r{i}" for i in range(4)]
    here = POPULATION == "forget"
    margins = np.stack([clipped_margins(found[name].margin) for name in references])
    pooled = np.sqrt(margins.var(axis=0, ddof=1).mean() * 1.25)
    expected = ((found["u"].margin - margins.mean(0)) / pooled)[here].mean()
    assert membership_figures(found, POPULATION, references=references)["u"].margin_z == pytest.approx(expected)


def test_many_classes_and_saturated_predictions_stay_finite():
    labels = np.arange(len(POPULATION)) % 100
    logits = np.full((len(labels), 100), -1e4)
    logits[np.arange(len(labels)), (labels + (np.arange(len(labels)) % 3 == 0)) % 100] = 0
    saturated = scores_of(logits, labels)
    infinite = ExampleScores(
        saturated.top1,
        saturated.correct,
        saturated.confidence,
        saturated.entropy,
        saturated.modified_entropy,
        np.where(saturated.correct, np.inf, -np.inf),
    )
    found = membership_figures(
        {"u": infinite, "r1": infinite, "r2": infinite, "r3": infinite}, POPULATION, references=["r1", "r2", "r3"]
    )["u"]
    assert found.margin_z == 0 and found.auc == 0.5
    assert all(figure.within for figure in found.svc.values())


def test_without_test_examples_or_references_figures_are_none():
    found = models(1)
    population = np.where(POPULATION == "test", "retain", POPULATION)
    figures = membership_figures(found, population, references=["r0"])["u"]
    assert figures.svc == {} and figures.auc is None and figures.margin_z is None


def test_u_lira_and_klom_are_refused_with_the_reason_below_sixteen_models():
    found = models(5)
    references = [f"r{i}" for i in range(5)]
    figures = membership_figures(found, POPULATION, references=references, models={"u": [found["u"]] * 16})
    assert figures["u"].u_lira is None and figures["u"].klom is None
    assert "16 retrained models; there are 16 and 5" in figures["u"].refused
    assert figures["r0"].refused is None
    with pytest.raises(AuditError, match="at least 16"):
        klom(np.zeros((16, 3)), np.zeros((15, 3)))


def test_u_lira_and_klom_are_given_from_sixteen_models_on():
    found = models(16)
    references = [f"r{i}" for i in range(16)]
    others = models(16, seed=1)
    figures = membership_figures(
        found, POPULATION, references=references, models={"u": [others[name] for name in references]}
    )
    assert figures["u"].refused is None
    assert figures["u"].u_lira.p_value < 0.05  # other examples altogether
    assert figures["u"].klom.statistic > figures["u"].klom.null_upper


def test_attack_accuracy_agrees_with_plain_loops():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0.5, 1, (16, 5)), rng.normal(0, 2, (18, 5))
    rates = []
    for own, other in ((unlearned, retrained), (retrained, unlearned)):
        hits = []
        for m in range(len(own)):
            for x in range(5):
                without = np.delete(own[:, x], m)
                favour = stats.norm.logpdf(own[m, x], without.mean(), without.std(ddof=1)) - stats.norm.logpdf(
                    own[m, x], other[:, x].mean(), other[:, x].std(ddof=1)
                )
                hits.append(favour > 0)
        rates.append(np.mean(hits))
    assert u_lira(unlearned, retrained, permutations=1).statistic == pytest.approx(np.mean(rates))


def test_klom_agrees_with_a_histogram_by_numpy():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0.5, 1, (20, 4)), rng.normal(0, 1, (30, 4))
    expected = []
    for x in range(4):
        both = np.concatenate([unlearned[:, x], retrained[:, x]])
        edges = np.linspace(both.min(), both.max(), 21)
        p, q = (np.histogram(sample[:, x], edges)[0] / len(sample) + 1e-5 for sample in (unlearned, retrained))
        expected.append(stats.entropy(p, q))
    assert klom(unlearned, retrained, permutations=1).statistic == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("statistic", [u_lira, klom])
def test_the_permuted_null_holds_its_level(statistic):
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(60):
        level = rng.normal(size=6)
        sample = level + rng.normal(size=(34, 6))
        p_values.append(statistic(sample[:16], sample[16:], permutations=39, seed=1).p_value)
    assert np.mean(np.array(p_values) <= 0.1) <= 0.2
    assert statistic(sample[:16] + 3, sample[16:], permutations=39).p_value == 1 / 40
