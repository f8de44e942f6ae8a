"""The command line: parse, call, print. Results go to stdout, all else to stderr."""

from badnets.cli.main import main

__all__ = ["main"]
