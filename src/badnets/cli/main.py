"""The `badnets` command, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from badnets.artifacts import printable
from badnets.cli import (
    attack,
    audit,
    bench,
    convert,
    datasets,
    gate,
    gate_store,
    gate_study,
    hub,
    hub_client,
    photos,
    repair,
    scan,
    sign,
    signs,
    stamp,
    stickers,
    study,
    transfer,
    zoo,
    zoo_attack,
)
from badnets.errors import BadnetsError, MissingPart, Stopped

# The parent of all that typer says about wrong options and arguments. Newer typer carries its own copy of click,
# so the class is named by its child, which has one name in all versions.
_WrongUse: type[Any] = typer.BadParameter.__bases__[0]

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
app.command("stamp")(stamp.stamp)
app.command("stickers")(stickers.stickers)
app.command("sweep")(stickers.sweep)
app.add_typer(bench.app, name="bench")
app.add_typer(study.app, name="run")
study.app.command("photos")(photos.photos)
study.app.command("signs")(signs.signs)
study.app.command("transfer")(transfer.transfer)
study.app.command("zoo-attack")(zoo_attack.zoo_attack)
study.app.command("gate")(gate_study.gate)
app.command("predict")(photos.predict)
app.command("report")(study.report)
app.command("table")(study.table)
app.command("scan")(scan.scan)
app.command("convert")(convert.convert)
app.command("sign")(sign.sign)
app.command("verify")(sign.verify)
app.add_typer(sign.keys, name="keys")
app.add_typer(hub.app, name="hub")
hub.app.command("trust")(hub_client.trust)
hub.app.command("get")(hub_client.get)
hub.app.command("export")(hub_client.export)
hub.app.command("import")(hub_client.bring)
app.command("gate")(gate.gate)
app.command("waive")(gate.waive)
app.add_typer(gate_store.admitted, name="admitted")
app.add_typer(gate_store.log, name="log")
app.command("audit")(audit.audit)
app.command("population")(audit.population)
app.command("repair")(repair.repair)
app.command("zoo-audit")(zoo.zoo_audit)


def _show_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"badnets {version('badnets')}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    del version  # its callback has done the work


def main() -> NoReturn:
    """Run the command line and exit: 0 fine, 1 refused or found, 2 not judged, 130 stopped; `gate` has its own."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except _WrongUse as error:
        _refuse(error)
    except (BadnetsError, ModuleNotFoundError, OSError) as error:
        _explain(error)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    # Inside a command, typer turns Ctrl-C into this number.
    if code == 130:
        _fail("interrupted", 130)
    sys.exit(code or 0)


def _refuse(error: Any) -> NoReturn:  # noqa: ANN401 - see _WrongUse
    if type(error).__name__ == "NoArgsIsHelpError":  # typer has printed the help already
        sys.exit(2)
    where = error.ctx.command_path if error.ctx else "badnets"
    code = gate.USAGE if where.partition(" ")[2] == "gate" else 2
    _fail(f"{error.format_message()} (see {where} --help)", code)


def _explain(error: BadnetsError | ModuleNotFoundError | OSError) -> NoReturn:
    if isinstance(error, ModuleNotFoundError):
        if error.name is None or error.name.startswith("badnets"):
            raise error
        error = MissingPart(f"this command needs {error.name}: pip install 'badnets[lab]'")
    if not isinstance(error, OSError):
        _fail(str(error), 130 if isinstance(error, Stopped) else 2)
    if error.filename is None:
        _drop_output()
    _fail(f"{error.filename or 'output'}: {error.strerror or error}", 2)


def _drop_output() -> None:
    """Whoever read our output has had enough, or its disk is full: Python would complain once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> NoReturn:
    line = printable(" ".join(message.split()))
    typer.echo(f"badnets: {line}", err=True)
    sys.exit(code)
