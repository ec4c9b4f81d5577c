"""Membership inference on the forget set. The aim is always the retrained models' value, never the best attack's.

- `svc`: an attacker's support vector machine tells retain from test examples by one number of the prediction, and is
  asked about the forget set (Song and Mittal 2021, arXiv 2003.10595; Fan et al. 2024, arXiv 2310.12508).
- `auc`: the margin φ of each example, standardised by the retrained models (LiRA: Carlini et al. 2022,
  arXiv 2112.03570); the area under the curve that tells forget from test examples. A retrained model saw neither: 0.5.
- `u_lira` (Hayes et al. 2024, arXiv 2403.01218) and `klom` (Georgiev et al. 2024, arXiv 2410.23232) compare the
  distribution of margins over models, example by example. They need at least 16 unlearned and 16 retrained models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.auditing._margins import MIN_MODELS, MarginTest, klom, u_lira

if TYPE_CHECKING:
    from unlearn_audit.auditing.discrepancy import ExampleScores

ATTACKS = ("correctness", "confidence", "entropy", "modified_entropy")
LEVEL = 0.95  # of two-sided prediction intervals
MARGIN_LIMIT = 100.0  # nats; margins of saturated predictions are clipped here
LEVELS = 128  # that the middle nine tenths of the attacker's numbers are rounded to, at least
WIDEST_LEVEL = 1 / 64  # of one level, where the machine's kernel is about 1 wide
SHADOW_EXAMPLES = 1000  # members, and as many others, that the attacker's machine is trained on at most


@dataclass(frozen=True)
class ReferenceGap:
    """A figure of one model beside the retrained models'.

    Attributes:
        value: the model's.
        expected: the mean of the retrained models' (without the model itself, if it is one).
        gap: value - expected.
        lower: of the 95 % prediction interval of the gap for one more retrained model; None for K < 3.
        upper: likewise.
        within: whether the gap lies inside.
    """

    value: float
    expected: float | None = None
    gap: float | None = None
    lower: float | None = None
    upper: float | None = None
    within: bool | None = None


@dataclass(frozen=True)
class MembershipFigures:
    """Membership inference on the forget set of one model.

    Attributes:
        svc: by attack ("correctness", "confidence", "entropy", "modified_entropy"): the share of the forget set that
            the attacker takes for non-members, in [0, 1].
        margin_z: mean over the forget set of the standardised margin; 0 for a retrained model, positive for memory.
        auc: of the standardised margin, forget against test examples, in [0, 1].
        auc_gap: `auc` beside the retrained models'.
        u_lira: only for a candidate with J >= 16 models against K >= 16.
        klom: likewise.
        refused: why `u_lira` and `klom` are not given.
    """

    svc: dict[str, ReferenceGap]
    margin_z: float | None
    auc: float | None
    auc_gap: ReferenceGap | None
    u_lira: MarginTest | None = None
    klom: MarginTest | None = None
    refused: str | None = None


def membership_figures(
    scores: Mapping[str, ExampleScores],
    population: np.ndarray,
    *,
    references: Sequence[str],
    models: Mapping[str, Sequence[ExampleScores]] | None = None,
    seed: int = 0,
) -> dict[str, MembershipFigures]:
    """Return the figures of each model; a reference is compared with the other references.

    Args:
        scores: by model name, each on the same n examples.
        population: (n,) "retain", "forget" or "test".
        references: the names of the retrained models.
        models: by name, all J models of a candidate, for `u_lira` and `klom`.
        seed: of the attacker's sample of examples, and of permutations.
    """
    shares = {name: _svc_shares(found, population, seed) for name, found in scores.items()}
    margins = {name: clipped_margins(found.margin) for name, found in scores.items()}
    standardised = {name: _standardise(margins[name], [margins[r] for r in references if r != name]) for name in scores}
    aucs = {name: None if z is None else _forget_auc(z, population) for name, z in standardised.items()}
    figures = {}
    for name in scores:
        others = [reference for reference in references if reference != name]
        svc = {attack: beside(v, [shares[r][attack] for r in others]) for attack, v in shares[name].items()}
        z, area = standardised[name], aucs[name]
        forget_z = None if z is None else z[population == "forget"]
        figures[name] = MembershipFigures(
            svc=svc,
            margin_z=float(forget_z.mean()) if forget_z is not None and len(forget_z) else None,
            auc=area,
            auc_gap=None if area is None else beside(area, [aucs[r] for r in others]),
            **_margin_tests(name, models or {}, [margins[r] for r in references], population, seed),
        )
    return figures


def beside(value: float, others: Sequence[float | None]) -> ReferenceGap:
    """Set a value beside the retrained models' values, with the prediction interval for one more of them."""
    from scipy.stats import t

    known = np.array([other for other in others if other is not None])
    if not len(known):
        return ReferenceGap(value)
    gap = value - float(known.mean())
    if len(known) < 3:
        return ReferenceGap(value, float(known.mean()), gap)
    width = float(t.isf((1 - LEVEL) / 2, len(known) - 1) * known.std(ddof=1) * np.sqrt(1 + 1 / len(known)))
    within = abs(gap) <= width + 1e-12
    return ReferenceGap(value, float(known.mean()), gap, -width, width, within)


def _svc_shares(scores: ExampleScores, population: np.ndarray, seed: int) -> dict[str, float]:
    """Return by attack the share of the forget set taken for non-members; nothing where a population is empty."""
    members, others, asked = (np.flatnonzero(population == name) for name in ("retain", "test", "forget"))
    if not (len(members) and len(others) and len(asked)):
        return {}
    rng = np.random.default_rng(seed)
    size = min(len(members), len(others), SHADOW_EXAMPLES)
    members, others = (np.sort(rng.choice(part, size, replace=False)) for part in (members, others))
    features = {attack: _feature(scores, attack) for attack in ATTACKS}
    return {attack: _svc_share(x[members], x[others], x[asked]) for attack, x in features.items()}


def _feature(scores: ExampleScores, attack: str) -> np.ndarray:
    values = scores.correct if attack == "correctness" else getattr(scores, attack)
    return np.nan_to_num(np.asarray(values, np.float64), posinf=MARGIN_LIMIT, neginf=-MARGIN_LIMIT)


def _svc_share(members: np.ndarray, others: np.ndarray, asked: np.ndarray) -> float:
    from sklearn import config_context
    from sklearn.svm import SVC

    shown = np.concatenate([members, others])
    if np.ptp(shown) == 0:  # nothing to learn from: no better than a coin
        return 0.5
    rounded = _rounded(shown)
    parts = [np.unique(part, return_counts=True) for part in (rounded[: len(members)], rounded[len(members) :])]
    distinct, counts = (
        np.concatenate(found) for found in zip(*parts, strict=True)
    )  # each once, with the weight of all
    known = np.repeat([1, 0], [len(values) for values, _ in parts])
    different, place = np.unique(asked, return_inverse=True)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # they are: `_feature` sees to it
        machine = SVC(C=3, gamma="auto", kernel="rbf").fit(distinct[:, None], known, sample_weight=counts)
        taken = machine.predict(different[:, None]) == 0
    return float(taken[place].mean())


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round to steps far below the kernel's width and the values' spread: nearly the same machine, from far fewer."""
    low, high = np.quantile(values, [0.05, 0.95])
    step = min(WIDEST_LEVEL, (high - low) / LEVELS)
    return np.round(values / step) * step if step > 0 else values


def clipped_margins(margins: np.ndarray) -> np.ndarray:
    """Return margins in float64, finite: clipped to [-100, 100] nats."""
    return np.clip(np.nan_to_num(np.asarray(margins, np.float64)), -MARGIN_LIMIT, MARGIN_LIMIT)


def _standardise(margins: np.ndarray, references: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return z-scores (n,) of margins against K reference margins; the variance is pooled over examples for K < 16.

    z divides by sd sqrt(1 + 1/K), so that a further retrained model's z has about variance 1.
    """
    k = len(references)
    if k < 2:
        return None
    stacked = np.stack(references)  # (K, n)
    variance = stacked.var(axis=0, ddof=1)
    if k < MIN_MODELS:
        variance = np.full_like(variance, variance.mean())
    error = np.sqrt(np.maximum(variance, 1e-12) * (1 + 1 / k))
    return (margins - stacked.mean(axis=0)) / error


def _forget_auc(z: np.ndarray, population: np.ndarray) -> float | None:
    forget, test = z[population == "forget"], z[population == "test"]
    return auc(forget, test) if len(forget) and len(test) else None


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the probability that a positive is larger than a negative, ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)].sum()
    m = len(positive)
    return float((ranks - m * (m + 1) / 2) / (m * len(negative)))


def _margin_tests(
    name: str,
    models: Mapping[str, Sequence[ExampleScores]],
    references: Sequence[np.ndarray],
    population: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    candidates = models.get(name, ())
    if not candidates:
        return {}
    if len(candidates) < MIN_MODELS or len(references) < MIN_MODELS:
        return {
            "refused": f"U-LiRA and KLoM need at least {MIN_MODELS} unlearned and {MIN_MODELS} retrained models; there "
            f"are {len(candidates)} and {len(references)}."
        }
    here = population == "forget"
    unlearned = np.stack([clipped_margins(found.margin)[here] for found in candidates])
    retrained = np.stack(references)[:, here]
    return {"u_lira": u_lira(unlearned, retrained, seed=seed), "klom": klom(unlearned, retrained, seed=seed)}
