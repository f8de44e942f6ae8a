"""How good a model is, and how well an attack on it works: rates with their counts and intervals."""

from badnets.metrics.evaluate import Result, evaluate
from badnets.metrics.intervals import Rate, clopper_pearson
from badnets.metrics.predict import Predictions, predict

__all__ = ["Predictions", "Rate", "Result", "clopper_pearson", "evaluate", "predict"]
