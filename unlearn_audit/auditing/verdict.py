"""A policy, and the verdict that it gives on a candidate: pass, fail or inconclusive, with the reason.

Per population the verdict rests on two groups of examples: the nearest strata taken together and the whole population
(the forget set is one group: nearly all of it is near itself). A candidate

- fails where some group is further from the references than a retrained model would be (p-values, Holm over all
  groups) *and* its lower bound is above the tolerance;
- passes where the upper bound of every group is within the tolerance, and the nearest examples were enough to test;
- is inconclusive otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from unlearn_audit.auditing._scores import MIN_COUNT, MIN_REFERENCES
from unlearn_audit.auditing.statistics import Comparison, StratumStatistics, Tolerance, holm
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.populations import POPULATIONS

Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Policy:
    """What a verdict rests on; stated in every report.

    Attributes:
        measure: name of the measure.
        populations: of "retain", "forget" and "test".
        strata: how many of the nearest strata are taken together beside the whole population; "all" takes every
            stratum by itself instead.
        absolute: tolerated excess, in units of the measure.
        relative: tolerated excess, as a share of the noise floor. The larger of the two counts.
        alpha: share of retrained models that may fail; level of the one-sided bounds.

    Raises:
        ConfigurationError: names the key that is wrong.
    """

    measure: str = "js"
    populations: tuple[str, ...] = ("retain", "forget")
    strata: int | Literal["all"] = 2
    absolute: float = 0.0005
    relative: float = 0.25
    alpha: float = 0.05

    def __post_init__(self) -> None:
        unknown = [name for name in self.populations if name not in POPULATIONS]
        if unknown or not self.populations or len(set(self.populations)) != len(self.populations):
            raise ConfigurationError(
                f"policy.populations: expected different ones of {list(POPULATIONS)}, got {list(self.populations)}."
            )
        whole = isinstance(self.strata, int) and not isinstance(self.strata, bool) and self.strata >= 1
        if not whole and self.strata != "all":
            raise ConfigurationError(
                f"policy.strata: expected a number of nearest strata or 'all', got {self.strata!r}."
            )
        for key in ("absolute", "relative"):
            _check_number(key, getattr(self, key), lambda value: value >= 0, "a number of at least 0")
        _check_number("alpha", self.alpha, lambda value: 0 < value < 0.5, "a number between 0 and 0.5")

    @property
    def tolerance(self) -> Tolerance:
        """The tolerated excess."""
        return Tolerance(self.absolute, self.relative)

    @property
    def nearest(self) -> int:
        """How many of the nearest strata are taken together."""
        return 1 if self.strata == "all" else self.strata

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any] | None) -> Policy:
        """Build it from a mapping, for example of YAML; what is left out takes its default.

        Raises:
            ConfigurationError: names the key that is unknown or wrong.
        """
        if mapping is None:
            return cls()
        if not isinstance(mapping, Mapping):
            raise ConfigurationError(f"policy: expected keys and values, got {mapping!r}.")
        known = [field.name for field in dataclasses.fields(cls)]
        for key in mapping:
            if key not in known:
                raise ConfigurationError(f"policy.{key}: there is no such key.{did_you_mean(str(key), known)}")
        values = dict(mapping)
        if "measure" in values and not isinstance(values["measure"], str):
            raise ConfigurationError(f"policy.measure: expected a name, got {values['measure']!r}.")
        if "populations" in values:
            found = values["populations"]
            found = [found] if isinstance(found, str) else found
            if not isinstance(found, list | tuple):
                raise ConfigurationError(f"policy.populations: expected a list of names, got {found!r}.")
            values["populations"] = tuple(found)
        return cls(**values)


def _check_number(key: str, value: object, holds: Any, expected: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    if not number or not holds(value):
        raise ConfigurationError(f"policy.{key}: expected {expected}, got {value!r}.")


@dataclass(frozen=True)
class Verdict:
    """What an audit concludes on one candidate.

    Attributes:
        outcome: "pass", "fail" or "inconclusive".
        reason: one sentence.
        num_references: K; a verdict is never told without it.
        references_needed: for "inconclusive", about how many references would settle it; None if that is not known.
        withheld: no verdict was given, because the controls misbehaved; the outcome is then "inconclusive".
    """

    outcome: Outcome
    reason: str
    num_references: int
    references_needed: int | None = None
    withheld: bool = False


@dataclass(frozen=True)
class Group:
    """A group of examples that a verdict rests on."""

    name: str
    statistics: StratumStatistics
    p_holm: float | None


def verdict_groups(policy: Policy, comparisons: Mapping[str, Comparison]) -> tuple[Group, ...]:
    """Return the groups that take part in a verdict, with p-values corrected over all of them (Holm)."""
    found: list[tuple[str, StratumStatistics]] = []
    for population in policy.populations:
        comparison = comparisons.get(population)
        if comparison is None:
            continue
        if population != "forget":
            found += _near(policy, population, comparison)
        found.append(("the forget set" if population == "forget" else f"all {population} examples", comparison.overall))
    taking = [(name, statistics) for name, statistics in found if statistics.takes_part]
    tested = [statistics.p_value for _, statistics in taking if statistics.p_value is not None]
    adjusted = holm(np.array(tested)) if len(tested) == len(taking) else [None] * len(taking)
    return tuple(
        Group(name, statistics, None if p is None else float(p))
        for (name, statistics), p in zip(taking, adjusted, strict=True)
    )


def _near(policy: Policy, population: str, comparison: Comparison) -> list[tuple[str, StratumStatistics]]:
    if policy.strata == "all":
        return [(f"{population} stratum {index}", stratum) for index, stratum in enumerate(comparison.strata)]
    return [(f"the nearest {population} examples", comparison.nearest)]


def decide(policy: Policy, comparisons: Mapping[str, Comparison], *, controls: Any = None) -> Verdict:
    """Decide on one candidate.

    Args:
        policy: what the verdict rests on.
        comparisons: of the candidate by the policy's measure, by population.
        controls: what `check_controls` found; where the controls misbehave, the verdict is withheld.
    """
    k = max((comparison.num_references for comparison in comparisons.values()), default=0)
    if k < MIN_REFERENCES:
        return Verdict("inconclusive", _too_few(k), k, MIN_REFERENCES)
    groups = verdict_groups(policy, comparisons)
    missing = [p for p in policy.populations if p not in comparisons or not comparisons[p].overall.takes_part]
    if missing:
        reason = f"The policy asks for {missing[0]} examples, and fewer than {MIN_COUNT} of them can be compared."
        return Verdict("inconclusive", reason, k)
    if controls is not None and controls.withheld:
        return Verdict("inconclusive", "No verdict is given: " + _lowered(controls.alarms[0]), k, withheld=True)
    untested = [p for p in policy.populations if p != "forget" and not comparisons[p].nearest.takes_part]
    return _judge(policy, groups, k, untested)


def _judge(policy: Policy, groups: tuple[Group, ...], k: int, untested: list[str]) -> Verdict:
    """Judge on all groups; where the nearest examples of a population are too few to test, nothing passes."""
    failing = [g for g in groups if _p_value(g) <= policy.alpha and g.statistics.above_tolerance]
    if failing:
        return Verdict("fail", _fail_reason(min(failing, key=_p_value), k), k)
    open_groups = [group for group in groups if not group.statistics.within_tolerance]
    if not open_groups and untested:
        reason = (
            f"Fewer than {MIN_COUNT} of the nearest {untested[0]} examples can be compared, so damage next to the "
            "forget set cannot be ruled out; use strata that hold more, such as quantiles."
        )
        return Verdict("inconclusive", reason, k)
    if not open_groups:
        widest = max(groups, key=lambda group: _sort_key(group.statistics.upper))
        return Verdict("pass", _pass_reason(widest, k), k)
    needed = _needed(policy, open_groups)
    return Verdict("inconclusive", _open_reason(open_groups, k, needed), k, needed)


def _p_value(group: Group) -> float:
    """Return the corrected p-value; a group that has none rejects nothing."""
    return 1.0 if group.p_holm is None else group.p_holm


def _needed(policy: Policy, groups: list[Group]) -> int | None:
    """Return the references that let some group beyond the tolerance fail, or else all open groups pass."""
    statistics = [group.statistics for group in groups]
    beyond = [s.references_needed for s in statistics if _is_beyond(policy, s)]
    if beyond:
        return min((number for number in beyond if number is not None), default=None)
    near = [s.references_needed for s in statistics if s.references_needed is not None]
    return max(near) if len(near) == len(statistics) else None


def _is_beyond(policy: Policy, statistics: StratumStatistics) -> bool:
    if statistics.excess is None or statistics.floor is None:
        return False
    return statistics.excess > policy.tolerance.excess(statistics.floor)


def _sort_key(value: float | None) -> float:
    return -np.inf if value is None else value


def _times(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _distance(statistics: StratumStatistics) -> str:
    if statistics.ratio is None:
        return f"an excess of {statistics.excess:.4f}"
    return f"{statistics.ratio:.2f} times the noise floor"


def _bound(statistics: StratumStatistics, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if statistics.ratio is None else f"{value:.2f}"


def _too_few(k: int) -> str:
    models = "one retrained model" if k == 1 else f"{k} retrained models"
    return f"With {models} their own variation cannot be told; a verdict needs at least {MIN_REFERENCES}."


def _fail_reason(group: Group, k: int) -> str:
    s = group.statistics
    return (
        f"On {group.name} the candidate is further from {k} retrained models than a retrained model would be: "
        f"{_distance(s)}, at least {_bound(s, s.lower)}, p = {group.p_holm:.2g}."
    )


def _pass_reason(group: Group, k: int) -> str:
    s = group.statistics
    bound = f", at most {_bound(s, s.upper)}" if s.upper is not None else ""
    return (
        f"Compared with {k} retrained models the candidate is within the tolerance in every group; "
        f"furthest on {group.name}: {_distance(s)}{bound}."
    )


def _open_reason(groups: list[Group], k: int, needed: int | None) -> str:
    group = max(groups, key=lambda g: _sort_key(g.statistics.upper))
    s = group.statistics
    bounds = f", between {_bound(s, s.lower)} and {_bound(s, s.upper)}" if s.upper is not None else ""
    advice = f"; about {needed} would settle it" if needed is not None and needed > k else ""
    return f"{k} retrained models do not settle it on {group.name}: {_distance(s)}{bounds}{advice}."


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
