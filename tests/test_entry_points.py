"""Plug-ins of another distribution, found by their entry points and used by name as this package's own are."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import request_in
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.proximities import registry as proximities
from unlearn_audit.saved.request import AuditRequest
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.verify import verify
from unlearn_audit.strata import registry as strata

MODULES = {
    "top_k": '''
from dataclasses import dataclass

from unlearn_audit.measures import Measure

__all__ = ["TopK"]


@dataclass(frozen=True)
class TopK(Measure):
    """Share of the k likeliest classes that the two models do not have in common."""

    title = "top-k disagreement"
    unit = "share"
    low = 0
    high = 1

    k: int = 2

    def __call__(self, candidate, reference):
        """The share (n,)."""
        mine, yours = (outputs.logits.topk(self.k, dim=1).indices for outputs in (candidate, reference))
        return 1 - (mine[:, :, None] == yours[:, None]).any(dim=2).float().mean(dim=1)
''',
    "length": '''
from dataclasses import dataclass

import numpy as np

from unlearn_audit.proximities import Proximity

__all__ = ["Length"]


@dataclass(frozen=True)
class Length(Proximity):
    """Length of the embedding, to a power."""

    power: float = 1.0

    def __call__(self, embeddings, forget_embeddings, own=None):
        """The length (n,)."""
        return np.linalg.norm(embeddings, axis=1) ** self.power
''',
    "halves": '''
from dataclasses import dataclass

import numpy as np

from unlearn_audit.strata import Strata, Stratum

__all__ = ["Halves"]


@dataclass(frozen=True)
class Halves(Strata):
    """The nearest share of the retain set, and the rest."""

    share: float = 0.5

    def __call__(self, examples):
        """The strata."""
        edge = np.quantile(examples.proximity[examples.is_retain], 1 - self.share)
        return np.where(examples.proximity > edge, 0, 1), (Stratum(0, "near"), Stratum(1, "far"))
''',
    "doubled": '''
from dataclasses import dataclass

import torch.nn.functional as F

from unlearn_audit.methods.base import UnlearningCallback

__all__ = ["Doubled"]


@dataclass(eq=False, kw_only=True)
class Doubled(UnlearningCallback):
    """Cross-entropy, some times over."""

    times: float = 2.0

    def per_example_loss(self, logits, batch):
        """Return the loss (n,)."""
        return self.times * F.cross_entropy(logits, batch["labels"], reduction="none")
''',
}
ENTRY_POINTS = """
[unlearn_audit.measures]
top_k_disagreement = theirs.top_k:TopK

[unlearn_audit.proximities]
length = theirs.length:Length

[unlearn_audit.strata]
halves = theirs.halves:Halves

[unlearn_audit.methods]
doubled = theirs.doubled:Doubled
"""


@pytest.fixture(autouse=True)
def installed(tmp_path_factory, monkeypatch) -> Iterator[None]:
    """Lay a distribution out as pip leaves it, on the path; gone at the end."""
    site = tmp_path_factory.mktemp("site")
    metadata = site / "theirs-1.0.dist-info"
    for folder in (site / "theirs", metadata):
        folder.mkdir()
    (site / "theirs" / "__init__.py").touch()
    for name, code in MODULES.items():
        (site / "theirs" / f"{name}.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    _look_again()
    yield
    monkeypatch.undo()
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]
    _look_again()


def _look_again() -> None:
    importlib.invalidate_caches()
    for registry in (measures, methods, proximities, strata):
        registry.refresh()


def shown(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1, 3), result.output
    return result.output


@pytest.mark.parametrize(
    ("command", "name", "option"),
    [
        ("measures", "top_k_disagreement", "k=2"),
        ("neighbourhoods", "length", "power=1.0"),
        ("neighbourhoods", "halves", "share=0.5"),
        ("methods", "doubled", "times=2.0"),
    ],
)
def test_they_are_listed_with_their_options(command: str, name: str, option: str) -> None:
    assert f"\n{name} " in shown(command)
    assert option in " ".join(shown(command).split())
    assert option.partition("=")[0] in shown(command, name)


@pytest.fixture
def request_of_theirs(tmp_path: Path) -> AuditRequest:
    return dataclasses.replace(
        request_in(tmp_path),
        policy=Policy(measure="top_k_disagreement( k = 3 )"),
        neighbourhood=NeighbourhoodConfig(proximity="length(power=2)", strata="halves(share=0.25)"),
        measures=("disagreement", "top_k_disagreement", "top_k_disagreement(k=1)"),
    )


def test_an_audit_by_name_computes_what_they_say(request_of_theirs: AuditRequest, tmp_path: Path) -> None:
    found = run_audit(request_of_theirs, base=tmp_path)
    report, embeddings = found.report, Predictions.load(tmp_path / "original.parquet").embeddings
    assert embeddings is not None
    squares = (embeddings**2).sum(axis=1)
    np.testing.assert_allclose(found.ledger.column("proximity").to_numpy(), squares, rtol=1e-5)
    near = squares[found.ledger.column("stratum").to_numpy() == 0]
    retained = np.array(found.ledger.column("population").to_pylist()) == "retain"
    assert near.min() > np.quantile(squares[retained], 0.75) - 1e-4
    assert report.neighbourhood.description == (
        "length(power=2) proximity in the embedding of the original model; strata: halves(share=0.25)"
    )
    names = ["top_k_disagreement(k=3)", "disagreement", "top_k_disagreement", "top_k_disagreement(k=1)"]
    assert [record.name for record in report.measures] == names
    assert report.policy.measure == names[0]
    for population in ("retain", "forget", "test"):
        ours, theirs = (report.comparison("damaged", population, name) for name in (names[1], names[3]))
        assert ours == theirs  # of one class each, they are the same


def test_a_saved_audit_of_theirs_is_verified(request_of_theirs: AuditRequest, tmp_path: Path) -> None:
    save_audit(run_audit(request_of_theirs, base=tmp_path), request_of_theirs, tmp_path / "report", base=tmp_path)
    saved = json.loads((tmp_path / "report" / "report.json").read_text())
    assert saved["measures"][0]["name"] == "top_k_disagreement(k=3)"
    assert saved["neighbourhood"]["proximity"] == "length(power=2)"
    assert not verify(tmp_path / "report").differences


def test_their_method_is_made_by_name_with_its_options() -> None:
    logits, labels = torch.randn(6, 4), torch.arange(6) % 4
    loss = methods.create("doubled", times=3.0).per_example_loss(logits, {"labels": labels})
    torch.testing.assert_close(loss, 3 * torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
    assert methods.load("doubled")().times == 2.0


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("top_k_disagrement", "There is no measure 'top_k_disagrement'. Did you mean 'top_k_disagreement'?"),
        ("top_k_disagreement(m=3)", "The measure 'top_k_disagreement' has no option 'm'. Known: k."),
        ("top_k_disagreement(3)", "Expected a measure as `name` or `name(option=value, ...)`"),
        ("top_k_disagreement(k=3", "Expected a measure as"),
        ("top_k_disagreement(k=open('x'))", "Expected a measure as"),
        ("top_k_disagreement(k=3) + js", "Expected a measure as"),
    ],
)
def test_what_is_misspelled_is_named(spelled: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        measures.create(spelled)
    assert str(caught.value).startswith(message)


def test_a_name_makes_an_equal_plug_in_again() -> None:
    made = measures.create("top_k_disagreement", k=5)
    assert made.name == "top_k_disagreement(k=5)"
    assert measures.create(made.name) == made
    assert measures.create("top_k_disagreement(k=2)").name == "top_k_disagreement"
    assert proximities.create("knn(k=20)").name == "knn(k=20)"
