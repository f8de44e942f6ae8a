"""Models that come from a hub: honest, lying, slow, dead, redirecting, endless; bounded, told in a line, cleaned up."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from badnets.artifacts import sha256_bytes
from badnets.errors import DataError
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import Decision, Keeper, gate
from badnets.supply.gate.intake import from_hub
from badnets.supply.gate.log import read_log
from badnets.supply.hub import Client, Refused, trust
from badnets.supply.hub.simulator import (
    MODEL,
    OLD,
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
from badnets.supply.transport import Pace

from .bench import Bench, audit_of

QUICK = Pace(seconds=5.0, floor=1000.0, window=0.4)
POLICY = '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "hub"\nmax_age_hours = 3.0\n'


def decide(bench: Bench, hub: HostileHub, name: str = MODEL, extras: Extras | None = None) -> Decision:
    trusted = trust(hub.home, hub.root, [hub.url])
    with Client(trusted, pace=QUICK).at_work() as client:
        bring = from_hub(client, sha256_bytes(trusted.content()), name)
        keeper = Keeper(bench.policy, bench.store, bench.keys["gate"], 5.0)
        return gate(bring, keeper, extras=extras or Extras(), now=datetime.now(UTC))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "gate").mkdir()
    made = Bench(tmp_path / "gate")
    made.policy_file.write_text(POLICY)
    return made


def test_an_honest_hub(bench: Bench, tmp_path: Path) -> None:
    with HostileHub(tmp_path / "hub") as hub:
        decision = decide(bench, hub)
        assert decision.word == "admit", decision.outcome
        evidence = decision.evidence.hub
        assert evidence is not None
        assert (evidence.signatures, evidence.keys, evidence.role) == (2, 2, "admission")
        assert evidence.root_sha256 == sha256_bytes(hub.root)
        assert decision.evidence.files[0].sha256 == sha256_bytes(OLD)
        bench.policy_file.write_text(POLICY + f'root_sha256 = "{"0" * 64}"\n')
        assert decide(bench, hub).word == "refuse"
        bench.policy_file.write_text(POLICY.replace("3.0", "1.0"))
        assert decide(bench, hub).word == "undecided", "signed two hours ago"


def test_a_folder_of_a_hub_and_a_bound_on_size(bench: Bench, tmp_path: Path) -> None:
    with HostileHub(tmp_path / "hub") as hub:
        hub.publish({"lab/net": {"weights.safetensors": OLD, "config.json": b"{}"}})
        assert decide(bench, hub, "lab/net").word == "admit"
        bench.policy_file.write_text(POLICY + "[limits]\nbytes = 100\n")
        for name in ("lab/net", MODEL):
            with pytest.raises(DataError, match="the policy allows"):
                decide(bench, hub, name)
        assert not any(path.startswith("targets/lab/") and "model" in path for path in hub.asked), (
            "refused before a byte"
        )


@pytest.mark.parametrize(
    "answer",
    [sends(b"lies"), sends(OLD + b"more"), cut_short(OLD), drips(OLD), drips_head, stalls, silent, endless, fails(500),
     redirects("http://127.0.0.1:1/"), redirects("http://169.254.169.254/")],
    ids=["lies", "longer", "cut", "drips", "drips-head", "stalls", "silent", "endless", "fails", "redirects", "cloud"],
)  # fmt: skip
def test_a_hostile_server(answer: Answer, bench: Bench, tmp_path: Path) -> None:
    with HostileHub(tmp_path / "hub") as hub:
        hub.answer(hub.blob(MODEL), answer)
        begun = time.monotonic()
        with pytest.raises(Refused) as raised:
            decide(bench, hub)
        assert time.monotonic() - begun < 60
        assert "\n" not in str(raised.value)
        assert list(bench.store.quarantine.iterdir()) == []
        assert not bench.store.admitted.exists()
        left = sum(path.stat().st_size for path in (hub.home / "partial").glob("*"))
        assert left < len(OLD)
        assert read_log(bench.store.log).entries == ()
        hub.be_honest()
        assert decide(bench, hub).word == "admit", "the same command goes on when the server does"


def test_a_dead_server_and_an_unknown_name(bench: Bench, tmp_path: Path) -> None:
    with HostileHub(tmp_path / "hub") as hub:
        with pytest.raises(Refused, match="unlisted"):
            decide(bench, hub, "lab/none")
        hub.url = "http://127.0.0.1:1/"
        with pytest.raises(Refused, match="unreachable") as raised:
            decide(bench, hub)
        assert not raised.value.judged
    assert list(bench.store.quarantine.iterdir()) == []


def test_the_audit_of_a_hubs_model(bench: Bench, tmp_path: Path) -> None:
    bench.policy_file.write_text(POLICY + '[[require]]\nrule = "audit"\n')
    with HostileHub(tmp_path / "hub") as hub:
        first = decide(bench, hub)
        assert first.word == "undecided"
        digest = first.evidence.weights[0].tensor_digest
        assert decide(bench, hub, extras=Extras(audits=(audit_of(digest),))).word == "admit"
        backdoored = Extras(audits=(audit_of(digest, "backdoored", 0.02),))
        assert decide(bench, hub, extras=backdoored).word == "refuse"
