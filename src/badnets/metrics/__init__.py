"""How good a model is, and how well an attack on it works: rates with their counts and intervals."""

from badnets.metrics.evaluate import Result, evaluate, judge
from badnets.metrics.intervals import MeanRate, Rate, clopper_pearson, mean_rate
from badnets.metrics.positions import PositionMap, position_map
from badnets.metrics.predict import Predictions, predict

__all__ = [
    "MeanRate",
    "PositionMap",
    "Predictions",
    "Rate",
    "Result",
    "clopper_pearson",
    "evaluate",
    "judge",
    "mean_rate",
    "position_map",
    "predict",
]
