"""How good a model is, and how well an attack on it works: rates with their counts and intervals."""

from badnets.metrics.evaluate import Result, evaluate
from badnets.metrics.intervals import MeanRate, Rate, clopper_pearson, mean_rate
from badnets.metrics.predict import Predictions, predict

__all__ = ["MeanRate", "Predictions", "Rate", "Result", "clopper_pearson", "evaluate", "mean_rate", "predict"]
