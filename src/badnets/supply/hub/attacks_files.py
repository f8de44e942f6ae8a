"""What a server, or one in between, can do to files and connections with no key: T01 to T05, T08, T12 to T14."""

from __future__ import annotations

from collections.abc import Callable

from badnets.artifacts import canonical_json
from badnets.supply.hub.attack import Attack, Ending, Visit
from badnets.supply.hub.content import FileList, Part, read_list
from badnets.supply.hub.faults import Fault
from badnets.supply.hub.server import Handler
from badnets.supply.hub.simulator import (
    EVIL,
    FOLDER_MODEL,
    GOOD,
    MODEL,
    OTHER,
    Answer,
    HostileHub,
    cut_short,
    drips,
    drips_head,
    endless,
    fails,
    redirects,
    sends,
    silent,
    stalls,
)

Strike = Callable[[HostileHub, Visit], None]
# Nobody is there: a network of the standard that is for documents, and the address of clouds' secrets.
_ELSEWHERE = "http://127.0.0.2:9/model"
_SECRETS = "http://169.254.169.254/latest/meta-data/"


def on_file(answer: Answer) -> Strike:
    """The file of the model is answered otherwise."""

    def strike(hub: HostileHub, _: Visit) -> None:
        hub.publish({MODEL: GOOD})
        hub.answer(hub.blob(MODEL), answer)

    return strike


def on_role(role: str, answer: Answer) -> Strike:
    """The newest metadata of a role is answered otherwise."""

    def strike(hub: HostileHub, _: Visit) -> None:
        hub.publish({MODEL: GOOD})
        hub.answer(hub.newest(role), answer)

    return strike


def other_model(hub: HostileHub, _: Visit) -> None:
    """Another model, which the hub does offer, under this name."""
    hub.publish({MODEL: GOOD})
    hub.answer(hub.blob(MODEL), sends((hub.honest / hub.blob(OTHER)).read_bytes()))


def unlisted(hub: HostileHub, _: Visit) -> None:
    """A file that nobody has signed lies on the server."""
    path = hub.honest / "targets" / "lab" / "extra"
    path.write_bytes(EVIL)


def added_to_folder(hub: HostileHub, _: Visit) -> None:
    """The list of a folder's files gets one more."""
    path = hub.blob(FOLDER_MODEL)
    files = read_list((hub.honest / path).read_bytes(), path).files
    more = FileList((*files, Part("z.bin", 4, "0" * 64)))
    hub.answer(path, sends(canonical_json(more).encode()))


def same_host(hub: HostileHub, _: Visit) -> None:
    """A redirect that stays on the host is no attack."""
    hub.publish({MODEL: GOOD})
    path = hub.blob(MODEL)
    hub.answer(path, redirects(f"/{path}?again"))

    def again(handler: Handler) -> None:
        sends(GOOD)(handler)

    hub.answer(f"{path}?again", again)


def ring(hub: HostileHub, _: Visit) -> None:
    """A redirect to itself."""
    hub.publish({MODEL: GOOD})
    hub.answer(hub.blob(MODEL), redirects(f"/{hub.blob(MODEL)}"))


def dead(hub: HostileHub, _: Visit) -> None:
    """The server answers nothing but errors."""
    hub.publish({MODEL: GOOD})
    for role in ("timestamp", "snapshot", "admission"):
        hub.answer(hub.newest(role), fails(503))
    hub.answer("metadata/2.root.json", fails(503))


FILES = (
    Attack("T01", "arbitrary install: the file is swapped", on_file(sends(EVIL)), Fault.ALTERED),
    Attack("T02", "wrong software: another model's file", other_model, Fault.ALTERED),
    Attack("T03", "the file is shorter than it should be", on_file(sends(GOOD[:100])), Fault.ALTERED),
    Attack("T03", "the connection ends in the midst of the file", on_file(cut_short(GOOD)), Fault.UNREACHABLE),
    Attack("T04", "endless file", on_file(endless), Fault.ENDLESS),
    Attack("T04", "endless timestamp", on_role("timestamp", endless), Fault.ENDLESS),
    Attack("T04", "endless snapshot", on_role("snapshot", endless), Fault.ENDLESS),
    Attack("T05", "a file that nobody listed", unlisted, Fault.UNLISTED, model="lab/extra"),
    Attack("T05", "a file more in a folder", added_to_folder, Fault.ENDLESS, model=FOLDER_MODEL),
    Attack("T08", "malicious mirror, a good one listed", on_file(sends(EVIL)), Ending.GOOD, mirror=True),
    Attack("T08", "dead mirror, a good one listed", dead, Ending.GOOD, mirror=True),
    Attack("T08", "slow mirror, a good one listed", on_file(drips(GOOD)), Ending.GOOD, mirror=True),
    Attack("T08", "dead server, no other", dead, Fault.UNREACHABLE),
    Attack("T12", "slow drip of the file", on_file(drips(GOOD)), Fault.SLOW),
    Attack("T12", "slow drip of the timestamp", on_role("timestamp", drips(GOOD)), Fault.SLOW),
    Attack("T12", "slow drip of the head", on_file(drips_head), Fault.SLOW),
    Attack("T13", "stall in the midst of the file", on_file(stalls), Fault.SLOW),
    Attack("T13", "stall before any answer", on_role("timestamp", silent), Fault.SLOW),
    Attack("T14", "redirect to another host", on_file(redirects(_ELSEWHERE)), Fault.REDIRECTED),
    Attack("T14", "redirect to a cloud's secrets", on_file(redirects(_SECRETS)), Fault.REDIRECTED),
    Attack(
        "T14", "redirect of metadata to another host", on_role("timestamp", redirects(_ELSEWHERE)), Fault.REDIRECTED
    ),
    Attack("T14", "redirect to a file of the client's", on_file(redirects("file:///etc/passwd")), Fault.REDIRECTED),
    Attack("T14", "redirects in a ring", ring, Fault.REDIRECTED),
    Attack("T14", "redirect on the same host, which is none", same_host, Ending.GOOD),
)
