"""`AuditReport`: everything an audit found, as a value. It comes from predictions and goes to JSON, HTML and cards.

Numbers that are undefined (an empty stratum, a statistic that so few references do not allow) are None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.aggregate import AggregateFigures
from unlearn_audit.auditing.controls import Controls
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.judgement import Judgement
from unlearn_audit.auditing.membership import MembershipFigures
from unlearn_audit.auditing.models import Role
from unlearn_audit.auditing.policy import FirstPolicy, Policy
from unlearn_audit.auditing.statistics import Comparison
from unlearn_audit.auditing.verdict import Verdict
from unlearn_audit.errors import AuditError
from unlearn_audit.files import LARGEST_JSON, regular

SCHEMA_VERSION = 2
MADE_ELSEWHERE = "made elsewhere"  # in a provenance's configuration: the names of models that the study did not make
COPIES = "copies of forgotten examples that stay"  # the same: how many, by split
READABLE = (1, 2)  # reports of the first version were judged by one distance, and are shown as they were


@dataclass(frozen=True)
class DataRecord:
    """The data set: its name, the fingerprint of its content, and the class names (or indices as text)."""

    name: str
    fingerprint: str
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class ForgetRecord:
    """The forget set, without its ids: size, hash over ids and data, how it was chosen, and its size by class.

    `salted`, in a published report: the hash is `commitment` of ids and a salt that stays with the publisher.
    """

    size: int
    hash: str
    description: str
    class_counts: dict[str, int]
    salted: bool = False


@dataclass(frozen=True)
class NeighbourhoodRecord:
    """How proximity and strata were made: for example `centroid`, in the embedding of `original`, `quantiles`.

    `proximity` and `embedding` are "none" where the strata needed none, and "given by the user" where they were.
    """

    proximity: str
    embedding: str
    strata: str
    description: str


@dataclass(frozen=True)
class StratumRecord:
    """A stratum: 0 is the nearest. `lower` and `upper` bound its proximity (None: open or not a range)."""

    index: int
    label: str
    lower: float | None
    upper: float | None
    counts: dict[str, int]  # population: examples


@dataclass(frozen=True)
class GroupRecord:
    """A group of examples that a question was asked of: its name, the question, and how many examples it holds."""

    name: str
    question: Question
    count: int


@dataclass(frozen=True)
class ModelRecord:
    """A model in the audit, and what it cost: wall seconds, examples processed, and their share of one retraining."""

    name: str
    role: Role
    model_id: str
    weights_hash: str
    method: str | None = None
    seed: int | None = None
    seconds: float | None = None
    examples: int | None = None
    seconds_share: float | None = None
    examples_share: float | None = None


@dataclass(frozen=True)
class Result:
    """One model (`posing` references, candidates and anchors) by one measure on one population."""

    model: str
    population: str
    measure: str
    comparison: Comparison


@dataclass(frozen=True)
class MeasureRecord:
    """A measure as reported: its title, range, unit, and whether its noise floor is 0 by symmetry (`signed`)."""

    name: str
    title: str
    low: float
    high: float | None  # None: unbounded
    unit: str
    signed: bool


@dataclass(frozen=True)
class Provenance:
    """What made the report: versions, command, time (UTC, ISO 8601), and the configuration that was run.

    `seal` is the SHA-256 of the seal that it was made under, empty without one.
    """

    created: str
    versions: dict[str, str]
    command: str = ""
    configuration: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    seal: str = ""


@dataclass(frozen=True, repr=False)
class AuditReport:
    """All that an audit found; see the fields' classes. `results` holds every model, population and measure."""

    title: str
    policy: FirstPolicy | Policy
    data: DataRecord
    forget_set: ForgetRecord
    neighbourhood: NeighbourhoodRecord
    strata: tuple[StratumRecord, ...]
    measures: tuple[MeasureRecord, ...]
    models: tuple[ModelRecord, ...]
    results: tuple[Result, ...]
    aggregate: dict[str, AggregateFigures]  # by model name
    membership: dict[str, MembershipFigures]  # by model name
    verdicts: dict[str, Verdict]  # by candidate name
    controls: Controls | None
    provenance: Provenance
    judgements: dict[str, Judgement] = field(default_factory=dict)  # by name: candidates, original, untrained
    groups: tuple[GroupRecord, ...] = ()  # that the questions were asked of
    schema_version: int = SCHEMA_VERSION

    def __repr__(self) -> str:
        outcomes = ", ".join(f"{name}: {verdict.outcome}" for name, verdict in self.verdicts.items())
        return f"AuditReport({self.title!r}, K={self.num_references}, {len(self.results)} results; {outcomes})"

    def by_role(self, *roles: Role) -> tuple[ModelRecord, ...]:
        """Return the models with one of these roles, in order."""
        return tuple(model for model in self.models if model.role in roles)

    @property
    def num_references(self) -> int:
        """K, the number of retrained models."""
        return len(self.by_role("reference"))

    def model(self, name: str) -> ModelRecord:
        """Return the model called `name`."""
        return next(model for model in self.models if model.name == name)

    def comparison(self, model: str, population: str, measure: str) -> Comparison | None:
        """Return what was found of a model by a measure on a population, or None if that was not computed."""
        for result in self.results:
            if (result.model, result.population, result.measure) == (model, population, measure):
                return result.comparison
        return None

    def comparisons(self, population: str, measure: str) -> Iterator[tuple[ModelRecord, Comparison]]:
        """Yield each model with its comparison on a population by a measure."""
        for model in self.models:
            found = self.comparison(model.name, population, measure)
            if found is not None:
                yield model, found

    def to_json(self) -> str:
        """Return it as JSON text, from which `from_json` makes an equal report."""
        return _adapter().dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> AuditReport:
        """Read a report; anything that does not fit the schema raises `AuditError` and names the place."""
        from pydantic import ValidationError

        try:
            version = json.loads(text).get("schema_version")
        except (ValueError, AttributeError, RecursionError) as error:
            raise AuditError(f"Expected the JSON of a report, got something else: {error}") from error
        if version not in READABLE:
            raise AuditError(f"Expected a report of schema version {SCHEMA_VERSION} or 1, got {version!r}.")
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = "/".join(str(part) for part in first["loc"])
            raise AuditError(f"The report does not fit its schema at {place}: {first['msg']}.") from error

    @classmethod
    def load(cls, folder: str | Path) -> AuditReport:
        """Read `report.json` of a folder."""
        path = Path(folder) / "report.json"
        if not path.exists():
            raise AuditError(f"Expected a report folder with report.json, found none in {str(folder)!r}.")
        try:
            return cls.from_json(regular(path, LARGEST_JSON).read_bytes())
        except OSError as error:
            raise AuditError(f"{path} cannot be read: {error}.") from error


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `report.json`."""
    return _adapter().json_schema(mode="serialization")


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(AuditReport)
