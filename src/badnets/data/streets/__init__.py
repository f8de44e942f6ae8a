"""Rendered street scenes with signs and their boxes: what a detector can learn from without a download."""

from badnets.data.streets.layout import COUNTRIES
from badnets.data.streets.scenes import SIZE, Streets, read

__all__ = ["COUNTRIES", "SIZE", "Streets", "read"]
