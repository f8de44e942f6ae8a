"""One self-contained HTML page from the audit of a model zoo."""

from __future__ import annotations

from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from badnets.supply.zoo import CHECKS, Audit


def zoo_page(audit: Audit) -> str:
    """The audit as HTML: no script, nothing from the network, no address that can be clicked by mistake.

    Everything in the list comes from whoever wrote the zoo: the template escapes it.
    """
    environment = Environment(
        loader=PackageLoader("badnets.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    questions = {name: (check.__doc__ or "").splitlines()[0] for name, check in CHECKS.items()}
    return environment.get_template("zoo.html").render(audit=audit, questions=questions, version=version("badnets"))
