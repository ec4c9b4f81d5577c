"""A report of the first version, as it was saved: one candidate, three retrained models, one stratum."""

from __future__ import annotations

from typing import Any

REASON = (
    "3 retrained models do not settle it on the nearest retain examples: 1.67 times the noise floor, "
    "between 1.24 and 2.25; about 5 would settle it."
)


def report() -> dict[str, Any]:
    """Return what its `report.json` holds."""
    names = ["retrained-1", "retrained-2", "retrained-3"]
    return {
        "title": "Half of class 8 forgotten",
        "policy": {
            "measure": "js",
            "populations": ["retain", "forget"],
            "strata": 2,
            "absolute": 0.0005,
            "relative": 0.25,
            "alpha": 0.05,
        },
        "data": {"name": "digits", "fingerprint": "f" * 64, "class_names": ["0", "1"]},
        "forget_set": {"size": 40, "hash": "a" * 64, "description": "half of class 1", "class_counts": {"1": 40}},
        "neighbourhood": {
            "proximity": "centroid",
            "embedding": "original",
            "strata": "quantiles",
            "description": "Quantiles of the proximity to the forget set's centroid.",
        },
        "strata": [
            {
                "index": 0,
                "label": "nearest",
                "lower": None,
                "upper": None,
                "counts": {"retain": 137, "forget": 40, "test": 60},
            }
        ],
        "measures": [
            {
                "name": "js",
                "title": "Jensen-Shannon divergence",
                "low": 0.0,
                "high": 1.0,
                "unit": "bits",
                "signed": False,
            }
        ],
        "models": [_model("ltd", "candidate"), *(_model(name, "reference") for name in names)],
        "results": [{"model": "ltd", "population": "retain", "measure": "js", "comparison": _comparison()}],
        "aggregate": {},
        "membership": {},
        "verdicts": {
            "ltd": {
                "outcome": "inconclusive",
                "reason": REASON,
                "num_references": 3,
                "references_needed": 5,
                "withheld": False,
            }
        },
        "controls": {"rows": [], "alarms": [], "notes": []},
        "provenance": {
            "created": "2026-01-02T03:04:05+00:00",
            "versions": {"unlearn-audit": "0.1.0"},
            "command": "",
            "configuration": {},
            "seconds": 2.5,
        },
        "schema_version": 1,
    }


def _model(name: str, role: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("method", "seed", "seconds", "examples", "seconds_share", "examples_share"))
    return {"name": name, "role": role, "model_id": name, "weights_hash": "", **unknown}


def _comparison() -> dict[str, Any]:
    stratum = {
        "count": 137,
        "takes_part": True,
        "discrepancy": 0.0086,
        "floor": 0.0052,
        "excess": 0.0034,
        "ratio": 1.67,
        "log_ratio": 0.513,
        "null": [-0.05, -0.03, 0.17],
        "lower": 1.24,
        "upper": 2.25,
        "p_value": 0.0066,
        "p_holm": 0.0066,
        "above_tolerance": False,
        "within_tolerance": False,
        "minimum_detectable_ratio": 1.91,
        "references_needed": 5,
    }
    return {
        "strata": [stratum],
        "nearest": stratum,
        "overall": stratum,
        "contrast": None,
        "num_candidates": 1,
        "num_references": 3,
    }
