"""Tables, figures, and one page that needs nothing beside itself."""

from badnets.report.page import digits_page
from badnets.report.rows import Row, table

__all__ = ["Row", "digits_page", "table"]
