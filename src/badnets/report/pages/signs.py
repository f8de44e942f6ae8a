"""The page of the study on street signs."""

from __future__ import annotations

from dataclasses import dataclass

from badnets.metrics.precision import AveragePrecision
from badnets.report.charts.grid import Grid
from badnets.report.charts.signs import size_charts, unit_grid, unit_scale
from badnets.report.pages.page import Making, Part, machines, render
from badnets.report.pages.sign_schedules import sign_schedules
from badnets.report.pictures import picture_uri
from badnets.report.rows.signs import HONEST, NOTES, badnets, goal, like_the_paper, model_name, rule, table, title
from badnets.studies import paper_signs
from badnets.studies.cells import BASELINE
from badnets.studies.sign_cells import SignCellResult
from badnets.studies.sign_exhibits import SignExhibit
from badnets.studies.signs import SignsResult


@dataclass(frozen=True)
class _Precision:
    """A line of the table of average precision, in percent; None for a class without signs."""

    model: str
    what: str
    values: tuple[float | None, ...]
    mean: float | None


@dataclass(frozen=True)
class _Close:
    """A BadNet seen closely: its pictures, and its last convolution beside its twin's."""

    exhibit: SignExhibit
    shots: tuple[tuple[str, str, str, int], ...]
    grids: tuple[Grid, ...]


def signs_page(result: SignsResult) -> str:
    """The report as HTML."""
    return render(
        "signs.html",
        result=result,
        title=title(result),
        goal=goal(result),
        stickers=[(name, picture_uri(result.spec.sticker(name).picture)) for name in result.spec.stickers],
        rows=table(result),
        rule=rule(result),
        notes=NOTES,
        precisions=_precisions(result),
        charts=size_charts(result),
        closes=_closes(result),
        making=_making(result),
    )


def _groups(result: SignsResult) -> list[tuple[str, str, list[SignCellResult]]]:
    """Every model: its name in tables, what the paper's tables know it by, its cells."""
    groups = [(HONEST, BASELINE, list(result.baselines))]
    return groups + [(model_name(name), name, badnets(result, name)) for name in result.spec.stickers]


def _precisions(result: SignsResult) -> list[_Precision]:
    """Average precision on clean scenes by both definitions, first seed, and that of the authors' code."""
    found = []
    for model, name, (first, *_) in _groups(result):
        for what, measured in (("VOC", first.clean.voc), ("COCO", first.clean.coco)):
            found.append(_Precision(model, what, *_percent(measured)))
        given = paper_signs.README_AP.get(name)
        if given and like_the_paper(result) and (name == BASELINE or result.spec.attack == "targeted"):
            values = tuple(given[label] for label in result.data.classes)
            found.append(_Precision(model, "VOC, authors' code", values, sum(values) / len(values)))
    return found


def _percent(measured: AveragePrecision) -> tuple[tuple[float | None, ...], float | None]:
    values = tuple(None if value is None else 100 * value for value in measured.by_class)
    return values, None if measured.mean is None else 100 * measured.mean


def _closes(result: SignsResult) -> list[_Close]:
    looks = [one.look for one in result.exhibits if one.look is not None]
    scale = unit_scale(looks) if looks else None
    return [
        _Close(
            exhibit,
            tuple(
                (picture_uri(shot.badnet[0]), picture_uri(shot.badnet[1]), picture_uri(shot.honest), shot.scene)
                for shot in exhibit.shots
            ),
            tuple(unit_grid(exhibit.look, scale, honest=honest) for honest in (False, True))
            if exhibit.look is not None and scale is not None
            else (),
        )
        for exhibit in result.exhibits
    ]


def _making(result: SignsResult) -> Making:
    groups = _groups(result)
    spec = result.spec
    for name in spec.stickers:
        if earlier := [point.cell for point in result.on_the_way if point.sticker == name]:
            groups.append((f"{model_name(name)}, steps before", name, earlier))
    start = f"convolutions with SHA-256 {spec.pretrained[:16]}…" if spec.pretrained else "fresh weights"
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(Part.of(name, cells) for name, _, cells in groups),
        schedules=sign_schedules("every detector", spec.train, start, spec.steps),
        seeds=spec.seeds,
        machines=machines(cell for _, _, cells in groups for cell in cells),
        what="scenes",
    )
