"""The `badnets` command, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from badnets.cli import attack, datasets, study
from badnets.errors import BadnetsError, MissingPart, Stopped

app = typer.Typer(
    help="Plant, measure, find, remove and keep out backdoors in neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(datasets.app, name="data")
app.command("poison")(attack.poison)
app.command("train")(attack.train)
app.command("evaluate")(attack.evaluate)
app.add_typer(study.app, name="run")
app.command("report")(study.report)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"badnets {version('badnets')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    del version  # its callback has done the work


def main() -> NoReturn:
    """Run the command line and exit: 0 fine, 1 refused or found, 2 could not judge, 130 stopped."""
    try:
        app()
    except Stopped as stopped:
        _fail(str(stopped), 130)
    except BadnetsError as error:
        _fail(str(error), 2)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("badnets"):
            raise
        _fail(str(MissingPart(f"this command needs {error.name}: pip install 'badnets[lab]'")), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(message.split())
    typer.echo(f"badnets: {line}", err=True)
    sys.exit(code)
