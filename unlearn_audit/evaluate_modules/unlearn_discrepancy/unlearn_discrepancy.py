"""The discrepancy of two models' predictions as a Comparison of the library `evaluate`: a thin shell."""

from typing import Any

import datasets
import evaluate
import numpy as np

from unlearn_audit.measures import registry

_DESCRIPTION = """
How far two models' predictions on the same examples are apart, on average and by stratum: for example an unlearned
model from a retrained one, near the forget set and far from it.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions1 (list of list of float): logits (n, c) of the first model, the candidate.
    predictions2 (list of list of float): logits (n, c) of the second model, the reference.
    labels (list of int): (n,) labels.
    measure (str): a name that `unlearn-audit measures` lists; "js" by default.
    strata (list of int, optional): (n,) stratum of each example, 0 the nearest; -1 for none.

Returns:
    discrepancy (float): the mean over examples.
    by_stratum (list of float or None): the mean in each stratum; None where it is empty. Only with `strata`.
    counts (list of int): examples in each stratum. Only with `strata`.

Examples:
    >>> import evaluate
    >>> from unlearn_audit.evaluate_modules import path
    >>> discrepancy = evaluate.load(path("unlearn_discrepancy"), module_type="comparison")
    >>> found = discrepancy.compute(
    ...     predictions1=[[0.0, 9.0], [9.0, 0.0]],
    ...     predictions2=[[9.0, 0.0], [9.0, 0.0]],
    ...     labels=[0, 0],
    ...     measure="disagreement",
    ...     strata=[0, 1],
    ... )
    >>> found["discrepancy"], found["by_stratum"]
    (0.5, [1.0, 0.0])
"""

_CITATION = """
@article{dolgova2026forgetting,
  title = {Forgetting Has Neighbors: Localized Collateral Forgetting in Machine Unlearning},
  author = {Dolgova, P. and Stich, S. U.},
  journal = {arXiv preprint arXiv:2605.31317},
  year = {2026}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class UnlearnDiscrepancy(evaluate.Comparison):
    """The mean discrepancy of two models' predictions, by stratum."""

    def _info(self) -> evaluate.ComparisonInfo:
        return evaluate.ComparisonInfo(
            module_type="comparison",
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions1": datasets.Sequence(datasets.Value("float32")),
                    "predictions2": datasets.Sequence(datasets.Value("float32")),
                    "labels": datasets.Value("int64"),
                }
            ),
        )

    def _compute(
        self, predictions1: Any, predictions2: Any, labels: Any, measure: str = "js", strata: Any = None
    ) -> dict[str, Any]:
        pointwise = registry.create(measure).of_logits(
            np.asarray(predictions1, np.float32), np.asarray(predictions2, np.float32), np.asarray(labels)
        )
        pointwise = pointwise.numpy().astype(np.float64)  # (n,)
        found: dict[str, Any] = {"discrepancy": float(pointwise.mean())}
        if strata is not None:
            strata = np.asarray(strata)
            if strata.shape != pointwise.shape:
                raise ValueError(f"Expected one stratum for each of {len(pointwise)} examples, got {strata.shape}.")
            groups = [pointwise[strata == s] for s in range(int(strata.max(initial=-1)) + 1)]
            found["by_stratum"] = [float(group.mean()) if len(group) else None for group in groups]
            found["counts"] = [len(group) for group in groups]
        return found
