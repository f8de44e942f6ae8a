"""Tables, figures, and one page for each study that needs nothing beside itself."""

from badnets.report.rows import Row
from badnets.report.shown import Shown
from badnets.report.studies import AnyResult, present, read_result
from badnets.report.tables import write_table

__all__ = ["AnyResult", "Row", "Shown", "present", "read_result", "write_table"]
