"""The paper's study of a model zoo (section 5), for any zoo: can its users tell the right file from another?"""

from badnets.supply.zoo.audit import Audit, Finding, audit
from badnets.supply.zoo.checks import CHECKS, Answer, Grade
from badnets.supply.zoo.entries import Entry, Listing
from badnets.supply.zoo.fetch import Bounds, Download, Match, fetch
from badnets.supply.zoo.readers import read_zoo

__all__ = [
    "CHECKS",
    "Answer",
    "Audit",
    "Bounds",
    "Download",
    "Entry",
    "Finding",
    "Grade",
    "Listing",
    "Match",
    "audit",
    "fetch",
    "read_zoo",
]
