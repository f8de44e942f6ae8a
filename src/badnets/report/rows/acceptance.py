"""The table of acceptance: how often a user's check refuses an honest network and a BadNet."""

from __future__ import annotations

from badnets.metrics import mean_rate
from badnets.report.rows.row import Row, percent_row
from badnets.studies.acceptance import FALSE_ALARM, AcceptanceResult

HONEST, BADNET = "honest network", "BadNet"

NOTES = (
    (
        f"Sensible a*: the largest that refuses an honest network in at most {FALSE_ALARM:.0%} of validation sets of "
        "that size. Chances are those of independent validation images, at the accuracy that was measured; the "
        "interval of a BadNet's is that of its accuracy."
    ),
    (
        "Best: over every a*, sensible or not, the chance to refuse a BadNet minus the chance to refuse an honest "
        "network. At 0 % the check says nothing about the backdoor, at 100 % it tells both apart. A difference of "
        "accuracies that the test set cannot show (see their intervals) shows up here all the same once n is large."
    ),
)


def title(result: AcceptanceResult) -> str:
    """What the table is called."""
    seeds = len(result.spec.seeds)
    return f"The user's check on {result.data.test[0]}: in %, mean over {seeds} seed(s)"


def table(result: AcceptanceResult) -> list[Row]:
    """Both networks' accuracy, then for each size of validation set what its user would have refused."""
    rows = []
    for name, cells in ((HONEST, result.honest), (BADNET, result.badnets)):
        rates = [cell.result.clean_error.complement() for cell in cells]
        rows.append(percent_row((name, "accuracy"), None, mean_rate(rates), [rate.value for rate in rates], "measured"))
    success = [rate for cell in result.badnets if (rate := cell.result.attack_success) is not None]
    values = [rate.value for rate in success]
    rows.append(percent_row((BADNET, "attack success"), None, mean_rate(success), values, "measured"))
    for one in result.checks:
        words = f"n = {one.size:,}, a* = {one.a_star:.4g}"
        rows.append(_chance(f"{words}: {HONEST}", "refused", one.honest, one.size))
        ends = 100 * one.badnet_interval[0], 100 * one.badnet_interval[1]
        rows.append(_chance(f"{words}: {BADNET}", "refused", one.badnet, one.size, ends))
        rows.append(_chance(f"n = {one.size:,}, any a*", "best difference", one.best, one.size))
    return rows


def _chance(name: str, what: str, value: float, size: int, ends: tuple[float, float] | None = None) -> Row:
    return Row(name, what, None, 100 * value, (100 * value,), ends, size, "measured")
