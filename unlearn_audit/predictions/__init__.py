"""Predictions of a model: the door between making models and judging them. Both wings stand on it.

They come as a value (`Predictions`) or from files: Parquet, NumPy archives or CSV (`open_predictions`).
"""

from unlearn_audit.predictions.checks import PredictionSource, matching_rows
from unlearn_audit.predictions.opening import open_predictions
from unlearn_audit.predictions.parquet import PredictionsFile
from unlearn_audit.predictions.value import Predictions

__all__ = ["PredictionSource", "Predictions", "PredictionsFile", "matching_rows", "open_predictions"]
