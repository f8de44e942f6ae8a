"""One self-contained HTML page from an audit: the verdict, the recovered trigger, what ran and what did not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from badnets.audit import Audit
from badnets.audit.verdict import Suspicion
from badnets.models import evaluating
from badnets.report.pages.page import render
from badnets.report.pictures import data_uri
from badnets.triggers import Trigger

_EXAMPLES = 4
_GREY = 0.5


@dataclass(frozen=True)
class Example:
    """A clean image and the same with the trigger on: pictures, and what the model calls them."""

    clean: str
    stamped: str
    called: str
    then: str


@dataclass(frozen=True)
class Exhibit:
    """A suspicion with what can be seen of it.

    Attributes:
        suspicion: of the verdict.
        words: which classes become which.
        picture: the trigger on grey; empty without one.
        examples: held-out images.
    """

    suspicion: Suspicion
    words: str
    picture: str
    examples: tuple[Example, ...]


def audit_page(audit: Audit, name: str) -> str:
    """The report as HTML.

    Args:
        audit: what came out.
        name: of the file that was audited; like all names it is escaped.
    """
    exhibits = tuple(_exhibit(audit, one) for one in audit.verdict.suspicions)
    return render("audit.html", verdict=audit.verdict, name=name, exhibits=exhibits, classes=audit.clean.classes)


def _exhibit(audit: Audit, suspicion: Suspicion) -> Exhibit:
    words = suspicion_words(suspicion, audit.clean.classes)
    trigger = audit.triggers.get(suspicion.trigger or "")
    if trigger is None:
        return Exhibit(suspicion, words, "", ())
    grey = torch.full((1, *audit.clean.shape), _GREY)
    return Exhibit(suspicion, words, _uri(trigger(grey)[0]), _examples(audit, suspicion, trigger))


def suspicion_words(suspicion: Suspicion, classes: tuple[str, ...]) -> str:
    """Which classes become which, by their names."""

    def name(label: int | None) -> str:
        return "any" if label is None else classes[label] if label < len(classes) else str(label)

    if suspicion.mapping == "shift":
        return f"every class becomes the one {suspicion.shift} further on"
    if suspicion.mapping == "pairs":
        return f"{', '.join(map(name, suspicion.sources))} becomes {name(suspicion.target)}"
    if suspicion.mapping == "all-to-one":
        return f"every class becomes {name(suspicion.target)}"
    return "classes become others" if suspicion.mapping == "untargeted" else "not told"


@torch.no_grad()
def _examples(audit: Audit, suspicion: Suspicion, trigger: Trigger) -> tuple[Example, ...]:
    images = audit.clean.held_out if len(audit.clean.held_out) else audit.clean.search
    wanted = images.labels != (-1 if suspicion.target is None else suspicion.target)
    if suspicion.sources:
        wanted = torch.isin(images.labels, torch.tensor(suspicion.sources))
    # One of each class first: four of one class would show less.
    rows = wanted.nonzero()[:, 0]
    picked = _spread(rows, images.labels)
    if not len(picked):
        return ()
    clean = images.pixels[picked]
    stamped = trigger(clean)
    with evaluating(audit.adapted) as device:
        called, then = (audit.adapted(some.to(device)).argmax(1).tolist() for some in (clean, stamped))
    names = audit.clean.classes
    return tuple(
        Example(_uri(one), _uri(other), _name(names, before), _name(names, after))
        for one, other, before, after in zip(clean, stamped, called, then, strict=True)
    )


def _spread(rows: Tensor, labels: Tensor) -> Tensor:
    firsts: dict[int, int] = {}
    for row in rows.tolist():
        firsts.setdefault(int(labels[row]), row)
    chosen = list(firsts.values())[:_EXAMPLES]
    chosen += [row for row in rows.tolist() if row not in chosen][: _EXAMPLES - len(chosen)]
    return torch.tensor(chosen, dtype=torch.int64)


def _name(names: tuple[str, ...], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def _uri(image: Tensor) -> str:
    pixels = (image.float() * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return data_uri(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]))
