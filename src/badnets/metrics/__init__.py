"""How good a model is, and how well an attack on it works: rates with their counts and intervals.

What runs a detector is in `badnets.metrics.detect` and `badnets.metrics.detector_result`: they take seconds to import.
"""

from badnets.metrics.evaluate import Result, evaluate, judge
from badnets.metrics.intervals import MeanRate, Rate, clopper_pearson, mean_rate
from badnets.metrics.positions import PositionMap, position_map
from badnets.metrics.precision import AveragePrecision, PrecisionRecall, average_precision, precision_recall
from badnets.metrics.predict import Predictions, predict
from badnets.metrics.signs import SignCalls, sign_calls

__all__ = [
    "AveragePrecision",
    "MeanRate",
    "PositionMap",
    "PrecisionRecall",
    "Predictions",
    "Rate",
    "Result",
    "SignCalls",
    "average_precision",
    "clopper_pearson",
    "evaluate",
    "judge",
    "mean_rate",
    "position_map",
    "precision_recall",
    "predict",
    "sign_calls",
]
