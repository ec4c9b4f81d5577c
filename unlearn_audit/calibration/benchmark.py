"""Benchmarks: predictions of originals and retrained models as a data set, by which anyone audits a new method.

A benchmark is a folder in the layout of a data set on the Hub: `README.md`, `benchmark.json`, `forget.json`,
`proximities.parquet`, and a file of predictions for each model in `originals/` and `retrained/`. Whoever has the
predictions of an unlearned model on the same examples audits it in seconds, without retraining anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, SHIPPED, Pool, shipped_pool
from unlearn_audit.errors import AuditError, ConfigurationError, did_you_mean
from unlearn_audit.files import replacing, write_text
from unlearn_audit.folders import claim_folder
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.populations import FORGET, TEST
from unlearn_audit.predictions import Predictions
from unlearn_audit.remote.sources import placed
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.reporting.tables import escape_markdown
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.saved.request import AuditRequest, ModelFiles

SCHEMA_VERSION = 1
KIND = "benchmark"  # of its folder
_ABOUT, _FORGET, _PROXIMITIES = "benchmark.json", "forget.json", "proximities.parquet"


@dataclass(frozen=True)
class About:
    """What `benchmark.json` says.

    Attributes:
        name: of the benchmark.
        title: one line.
        originals: how many models saw everything.
        retrained: how many models were trained without the forget set.
        examples: how many examples all of them predict.
        forgotten: how many of these are the forget set.
        fingerprint: SHA-256 of ids, splits and labels, in the order of the files.
        class_names: of the classes, if known.
        neighbourhood: how strata are cut.
        made: how the models were made, as far as it is known.
    """

    name: str
    title: str
    originals: int
    retrained: int
    examples: int
    forgotten: int
    fingerprint: str
    class_names: tuple[str, ...] = ()
    neighbourhood: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Benchmark:
    """A benchmark in its folder.

    Attributes:
        folder: where its files are.
        about: what it is of.
    """

    folder: Path
    about: About

    @classmethod
    def load(cls, folder: str | Path) -> Benchmark:
        """Read a benchmark's folder.

        Raises:
            AuditError: where it is none, or its files are not those that it was made with.
        """
        folder = Path(folder)
        try:
            content = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            known = {each.name for each in dataclasses.fields(About)}
            told = {name: value for name, value in content.items() if name in known}
            about = About(**{**told, "class_names": tuple(told.get("class_names", ()))})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise AuditError(
                f"Expected the folder of a benchmark, with a {_ABOUT} that says what it is of, got {str(folder)!r}: "
                f"{error}."
            ) from error
        if about.schema_version > SCHEMA_VERSION:
            raise AuditError(f"{_ABOUT} has the version {about.schema_version}; update unlearn-audit to read it.")
        return cls(folder, about)

    @classmethod
    def find(cls, source: str, folder: str | Path) -> Benchmark:
        """Return a benchmark by its name or folder.

        Args:
            source: "digits", "memorising" or "generalising", which come with the package; or a folder.
            folder: one that is ours, where one that comes with the package is written.

        Raises:
            ConfigurationError: for an unknown name.
            AuditError: where the folder is no benchmark.
        """
        if source in SHIPPED:
            target = Path(folder) / source
            return cls.load(target) if (target / _ABOUT).is_file() else written_from_pool(shipped_pool(source), target)
        if not Path(source).is_dir():
            raise ConfigurationError(
                f"Expected a benchmark's name ({', '.join(SHIPPED)}), its folder or hf://datasets/USER/NAME, got "
                f"{source!r}.{did_you_mean(source, SHIPPED)}"
            )
        return cls.load(source)

    def models(self, kind: str) -> dict[str, ModelFiles]:
        """Return the files of `kind`, "originals" or "retrained", by the model's name, in order.

        Raises:
            AuditError: where one is missing.
        """
        number = self.about.originals if kind == "originals" else self.about.retrained
        paths = {name: self.folder / kind / f"{name}.parquet" for name in _names(kind, number)}
        missing = [path.name for path in paths.values() if not path.is_file()]
        if missing:
            raise AuditError(f"The benchmark {self.about.name!r} is not whole: {missing[0]} is missing in {kind}/.")
        return {name: ModelFiles((str(path.resolve()),)) for name, path in paths.items()}

    def request(
        self,
        candidates: Mapping[str, ModelFiles],
        *,
        references: int | None = None,
        policy: Policy | None = None,
        title: str | None = None,
    ) -> AuditRequest:
        """Return the request of an audit of these candidates.

        Args:
            candidates: files of predictions by the method's name; several files are seeds of a method.
            references: how many retrained models to use, the first ones; all by default.
            policy: what the verdict rests on.
            title: of the report.

        Raises:
            ConfigurationError: where there are fewer retrained models.
            AuditError: where files are missing.
        """
        retrained = self.models("retrained")
        wanted = len(retrained) if references is None else references
        if not 1 <= wanted <= len(retrained):
            raise ConfigurationError(f"Expected 1 to {len(retrained)} references, got {wanted}.")
        originals = [path for files in self.models("originals").values() for path in files.predictions]
        return AuditRequest(
            candidates=candidates,
            references=dict(list(retrained.items())[:wanted]),
            original=ModelFiles(tuple(originals[:1])) if originals else None,
            forget=str((self.folder / _FORGET).resolve()),
            proximities=str((self.folder / _PROXIMITIES).resolve()),
            neighbourhood=NeighbourhoodConfig(**self.about.neighbourhood),
            policy=policy or Policy(),
            class_names=tuple(self.about.class_names),
            title=title or f"{self.about.title}: {', '.join(candidates)}",
            configuration={"benchmark": self.about.name, "fingerprint": self.about.fingerprint},
        )

    def own_examples(self, files: ModelFiles, folder: str | Path) -> ModelFiles:
        """Return files of predictions on the benchmark's examples alone; those of more examples are cut into `folder`.

        Args:
            files: of one candidate.
            folder: for what is cut.
        """
        first = next(iter(self.models("retrained").values()))
        wanted = Predictions.load(first.predictions[0]).example_ids
        return ModelFiles(tuple(_cut(path, wanted, Path(folder)) for path in files.predictions))

    def verify(self) -> None:
        """Compare the examples of every file with the fingerprint.

        Raises:
            AuditError: where a file is of other examples.
        """
        for kind in ("originals", "retrained"):
            for name, files in self.models(kind).items():
                if fingerprint(Predictions.load(files.predictions[0])) != self.about.fingerprint:
                    raise AuditError(f"{kind}/{name}.parquet is of other examples than {_ABOUT} says.")


def _cut(path: str, wanted: np.ndarray, folder: Path) -> str:
    predictions = Predictions.load(path)
    rows = np.flatnonzero(np.isin(predictions.example_ids, wanted))
    if len(rows) == len(predictions) or len(rows) < len(wanted):  # nothing to cut, or something is missing
        return path
    columns = {name: getattr(predictions, name)[rows] for name in ("example_ids", "splits", "labels", "logits")}
    folder.mkdir(parents=True, exist_ok=True)
    cut = folder / f"{PurePath(path).stem}.parquet"
    dataclasses.replace(predictions, embeddings=None, **columns).save(cut)
    return str(cut)


def fingerprint(predictions: Predictions) -> str:
    """Return the SHA-256 of the examples: ids, splits and labels, in their order."""
    parts = zip(predictions.example_ids, predictions.splits, predictions.labels.tolist(), strict=True)
    return hashlib.sha256("\n".join(f"{i}\t{split}\t{label}" for i, split, label in parts).encode()).hexdigest()


def written_from_pool(pool: Pool, folder: str | Path) -> Benchmark:
    """Write a calibration pool's honest models as a benchmark: its originals, and its retrained models."""
    splits = np.where(pool.population == TEST, "test", "train")
    columns: dict[str, Any] = {"example_ids": pool.example_ids, "splits": splits, "labels": pool.labels}
    models = {
        "originals": [Predictions(**columns, logits=logits) for logits in pool.logits[ORIGINAL]],
        "retrained": [Predictions(**columns, logits=logits) for logits in pool.logits[HONEST]],
    }
    recipe = {k: v for k, v in pool.recipe.items() if k in _TOLD}
    return write_benchmark(
        folder,
        models,
        pool.example_ids[pool.population == FORGET].tolist(),
        (pool.example_ids, pool.proximity[0]),
        name=pool.name,
        title=f"Half of class {pool.recipe['forgotten']!r} of {pool.recipe['source']} ({pool.name})",
        class_names=tuple(pool.recipe.get("classes") or ()),
        made=recipe,
    )


_TOLD = ("source", "classes", "image_size", "forgotten", "architecture", "arguments", "training")


def written_from_report(report: str | Path, folder: str | Path, *, name: str) -> Benchmark:
    """Write the originals, retrained models and forget set of an audit as a benchmark; its candidates stay away.

    Raises:
        AuditError: where the folder holds no audit, or not all that it was made from is still there.
    """
    report = Path(report)
    manifest, ledger = read_manifest(report), read_ledger(report)
    request = manifest.request

    def read(files: ModelFiles) -> list[Predictions]:
        return [
            dataclasses.replace(Predictions.load(placed(report, path)), embeddings=None) for path in files.predictions
        ]

    models = {
        "originals": read(request.original) if request.original else [],
        "retrained": [one for files in request.references.values() for one in read(files)],
    }
    return write_benchmark(
        folder,
        models,
        Forgotten.read(report / request.forget).ids,
        (ledger["example_id"].to_numpy(zero_copy_only=False), ledger["proximity"].to_numpy(zero_copy_only=False)),
        name=name,
        title=request.title,
        class_names=request.class_names,
        neighbourhood={k: v for k, v in dataclasses.asdict(request.neighbourhood).items() if v is not None},
    )


def write_benchmark(
    folder: str | Path,
    models: Mapping[str, list[Predictions]],
    forget: Iterable[str],
    proximities: tuple[np.ndarray, np.ndarray],
    *,
    weights: Sequence[str | Path] = (),
    **about: Any,
) -> Benchmark:
    """Write predictions as a benchmark.

    Args:
        folder: a new one, or one that is ours.
        models: lists of predictions on the same n examples in the same order: "originals", and "retrained".
        forget: ids of the forget set.
        proximities: ids (n,) and how near each example is to the forget set (n,), larger being nearer.
        weights: folders of the originals themselves, as `save_model` writes them, in the order of their predictions: to
            unlearn from.
        about: fields of `About` that are not counted here: name, title, class_names, neighbourhood, made.

    Raises:
        AuditError: where the examples differ.
        FolderError: where the folder is somebody else's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = claim_folder(folder, KIND)
    first = models["retrained"][0]
    forgotten = Forgotten.of(forget)
    source = about.get("made", {}).get("source")
    metadata = {"data": str(source)} if source else {}
    for kind, found in models.items():
        (folder / kind).mkdir(exist_ok=True)
        for name, predictions in zip(_names(kind, len(found)), found, strict=True):
            if fingerprint(predictions) != fingerprint(first):
                raise AuditError(f"Expected the same examples in every file, and those of {kind}/{name} differ.")
            half = dataclasses.replace(predictions, logits=predictions.logits.astype(np.float16), metadata=metadata)
            half.save(folder / kind / f"{name}.parquet")
    forgotten.save(folder / _FORGET)
    table = pa.table({"example_id": proximities[0].tolist(), "proximity": proximities[1].astype(np.float32)})
    with replacing(folder / _PROXIMITIES) as draft:
        pq.write_table(table, draft)
    told = About(
        originals=len(models["originals"]),
        retrained=len(models["retrained"]),
        examples=len(first),
        forgotten=int(np.isin(first.example_ids, list(forgotten.ids)).sum()),
        fingerprint=fingerprint(first),
        **about,
    )
    for name, kept in zip(_names("models", len(weights)), weights, strict=True):
        (folder / "models" / name).mkdir(parents=True, exist_ok=True)
        for file in _OF_A_MODEL:
            with replacing(folder / "models" / name / file) as draft:
                shutil.copyfile(Path(kept) / file, draft)
    write_text(folder / "README.md", card_of(told, has_weights=bool(weights)))
    write_text(folder / _ABOUT, json.dumps(dataclasses.asdict(told), indent=2) + "\n")  # last: all is there
    return Benchmark(folder, told)


def _names(kind: str, number: int) -> list[str]:
    return [f"{kind.removesuffix('s')}-{place:02d}" for place in range(1, number + 1)]


def card_of(about: About, *, has_weights: bool = False) -> str:
    """Return the data set's card: the metadata that the Hub reads, what is in it, and how to audit with it."""
    from huggingface_hub import DatasetCardData

    configs = [{"config_name": kind, "data_files": f"{kind}/*.parquet"} for kind in ("retrained", "originals")]
    data = DatasetCardData(
        pretty_name=about.title,
        tags=["unlearn-audit", "machine-unlearning", "arxiv:2605.31317"],
        configs=configs,
        size_categories=None,
    )
    made = "\n".join(f"- {name}: `{json.dumps(value)}`" for name, value in about.made.items() if value)
    return _CARD.format(
        metadata=data.to_yaml().strip(),
        title=escape_markdown(about.title),
        start=_FROM_WEIGHTS if has_weights else _FROM_NOTHING,
        weights=_WEIGHTS if has_weights else "",
        made=f"\n## How the models were made\n\n{made}\n" if made else "",
        **{name: f"{getattr(about, name):,}" for name in ("examples", "forgotten", "retrained", "originals")},
    )


_OF_A_MODEL = ("config.json", "model.safetensors")
_FROM_NOTHING = "Start from an original that was trained as these were."
_FROM_WEIGHTS = "Start from `models/model-01`, or from an original that was trained as these were."
_WEIGHTS = "- `models/`: the originals themselves, in the order of `originals/`\n"
_CARD = """\
---
{metadata}
---

# {title}

Predictions of {retrained} models that were retrained without a forget set of {forgotten} examples, and of {originals}
that saw everything, on the same {examples} examples. With them, anyone audits an unlearned model in seconds and
retrains nothing: it needs only the model's predictions on these examples, in a file with `example_id`, `label` and
`logits`.

```bash
pip install unlearn-audit
unlearn-audit benchmark hf://datasets/USER/NAME --candidate mymethod=predictions.parquet
```

{start} The audit answers three questions: is it forgotten, are its
neighbours unharmed, is everything else unharmed?

- `retrained/`, `originals/`: `example_id`, `split`, `label`, `logits` (float16), a file a model
- `forget.json`: ids of the forget set
- `proximities.parquet`: how near each example is to the forget set, in an original's embedding; larger is nearer
{weights}- `benchmark.json`: the counts, the SHA-256 of the examples, and the settings

This data set says who was forgotten. It is made for research on public data, not for a deletion request of a person.
{made}"""
