"""Where `badnets gate` takes a model from: the words of its first argument."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from badnets.cli.hub_client import client_at_work, known_hubs, trusted_hub

if TYPE_CHECKING:
    from badnets.supply.gate.intake import Bring


def bring_from(
    source: str, hub: str | None, repo: str | None, state: Path | None, pace: tuple[float, float], held: ExitStack
) -> Bring:
    """What brings the model: `hf:` and `hub:` say it, else what lies on this machine comes before a hub's model.

    Args:
        source: as the user named it.
        hub: name of the trusted hub.
        repo: where to read it, instead of its mirrors.
        state: folder of trusted hubs.
        pace: most seconds for one file, and least bytes a second.
        held: keeps the hub's client at work.

    Raises:
        InputError: nothing of that name here, and no hub that could have it.
    """
    from badnets.artifacts import sha256_bytes
    from badnets.errors import InputError
    from badnets.supply.gate.intake import from_disk, from_hub, from_hugging_face

    if source.startswith("hf:"):
        return from_hugging_face(source.removeprefix("hf:"))
    named = source.startswith("hub:")
    if not named and Path(source).exists():
        return from_disk(Path(source))
    if not named and hub is None and repo is None and not known_hubs(state):
        raise InputError(f"there is no {source}, and no hub is trusted that could have a model of this name")
    trusted = trusted_hub(state, hub, repo)
    client = held.enter_context(client_at_work(trusted, repo, *pace))
    return from_hub(client, sha256_bytes(trusted.content()), source.removeprefix("hub:"))
