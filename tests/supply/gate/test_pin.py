"""A verdict that is pinned in a hub: the very one must come with the model, on these very files, and hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from badnets.artifacts import sha256_bytes, write_json
from badnets.errors import DataError
from badnets.supply.gate.admitted import NotAdmitted, check_entry, read_admitted
from badnets.supply.gate.gate import Decision, Keeper, gate
from badnets.supply.gate.intake import from_hub
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.pin import CUSTOM, Pin, compare, pin_of, read_pin
from badnets.supply.gate.verdict import VERDICT
from badnets.supply.hub import Client, Refused, publish, revoke, trust
from badnets.supply.hub.faults import Fault
from badnets.supply.hub.simulator import HostileHub
from badnets.supply.signing.refusal import Refused as NotSo

from .bench import NOW, Bench, safetensors

NAME = "lab/net"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "gate").mkdir()
    return Bench(tmp_path / "gate")


def here(bench: Bench, now: datetime = NOW) -> tuple[Path, Pin]:
    """An admitted model, which lies where an attacker can write, and the pin of its verdict."""
    decision = bench.admit(now=now)
    assert decision.path is not None
    assert decision.pin is not None
    folder = bench.folder / f"copy-{len(list(bench.folder.glob('copy-*')))}"
    shutil.copytree(decision.path, folder)
    for file in (folder / "model").iterdir():
        file.chmod(0o644)
    pin = pin_of({CUSTOM: decision.pin}, NAME)
    assert pin is not None
    return folder, pin


def test_the_pinned_verdict_on_its_own_files(bench: Bench) -> None:
    folder, pin = here(bench)
    compare(folder, pin, NOW, NAME)
    assert pin.expires == NOW + timedelta(days=30)
    assert pin_of({}, NAME) is None


def lost(folder: Path, _: Bench) -> None:
    (folder / VERDICT).unlink()


def older(folder: Path, bench: Bench) -> None:
    """An earlier verdict of the same gate, under the same policy, on the very same files, which still holds."""
    earlier, _ = here(bench, NOW - timedelta(days=1))
    shutil.copy(earlier / VERDICT, folder / VERDICT)


def of_another_model(folder: Path, bench: Bench) -> None:
    other = bench.admit(bench.write_model("other", (7.0, 7.0, 7.0))).path
    assert other is not None
    shutil.copy(other / VERDICT, folder / VERDICT)


def no_verdict(folder: Path, _: Bench) -> None:
    (folder / VERDICT).write_text("{}\n")


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (lost, "no verdict.intoto.jsonl came with it"),
        (older, "is pinned on it, and"),
        (of_another_model, "is pinned on it, and"),
        (no_verdict, "is pinned on it, and"),
    ],
)
def test_another_verdict_is_refused(attack: Callable[[Path, Bench], None], words: str, bench: Bench) -> None:
    folder, pin = here(bench)
    attack(folder, bench)
    with pytest.raises(NotSo, match=words):
        compare(folder, pin, NOW, NAME)


def swapped(folder: Path) -> None:
    (folder / "model" / "weights.safetensors").write_bytes(safetensors((9.0, 9.0, 9.0)))


def added(folder: Path) -> None:
    (folder / "model" / "more.safetensors").write_bytes(safetensors((9.0, 9.0, 9.0)))


def beside(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(safetensors((9.0, 9.0, 9.0)))


def removed(folder: Path) -> None:
    (folder / "model" / "config.json").unlink()


@pytest.mark.parametrize("attack", [swapped, added, beside, removed])
def test_the_pinned_verdict_on_other_files_is_refused(attack: Callable[[Path], None], bench: Bench) -> None:
    folder, pin = here(bench)
    attack(folder)
    with pytest.raises(NotSo, match="its verdict speaks of other files"):
        compare(folder, pin, NOW, NAME)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expires": NOW}, "expired at 2026-11-21 12:00"),
        ({"word": Word.REFUSE}, "the verdict that is pinned on it is refuse"),
        ({"expires": NOW + timedelta(days=60)}, "contradict each other"),
        ({"policy_sha256": "0" * 64}, "contradict each other"),
    ],
)
def test_a_pin_that_does_not_hold_is_refused(change: dict[str, Any], words: str, bench: Bench) -> None:
    folder, pin = here(bench)
    with pytest.raises(NotSo, match=words):
        compare(folder, replace(pin, **change), NOW, NAME)


@pytest.mark.parametrize(
    "pin", ["yes", {}, {"word": "admit"}, {"verdict_sha256": 1}, None, {"more": 1}, ["admit"]], ids=str
)
def test_what_is_no_pin(pin: object, tmp_path: Path) -> None:
    with pytest.raises(NotSo, match="the pin of a verdict"):
        pin_of({CUSTOM: pin}, NAME)
    write_json(tmp_path / "pin.json", {CUSTOM: pin})
    with pytest.raises(DataError, match="the pin of a verdict"):
        read_pin(tmp_path / "pin.json")
    (tmp_path / "pin.json").write_text("{}")
    with pytest.raises(DataError, match="holds no pin"):
        read_pin(tmp_path / "pin.json")


def test_loading_goes_by_the_pin_and_a_policy_can_ask_for_it(bench: Bench) -> None:
    folder, pin = here(bench)
    assert read_admitted(folder, bench.policy, pin=pin, now=NOW).name == "weights.safetensors"
    older(folder, bench)
    check_entry(folder, bench.policy, now=NOW)  # it is a verdict of this gate, and holds
    for ask in (read_admitted, check_entry):
        with pytest.raises(NotAdmitted, match="is pinned on it, and"):
            ask(folder, bench.policy, pin=pin, now=NOW)
    bench.policy_file.write_text(bench.policy_file.read_text().replace("[verdict]\n", "[verdict]\npinned = true\n"))
    folder, pin = here(bench)
    assert read_admitted(folder, bench.policy, pin=pin, now=NOW).name == "weights.safetensors"
    with pytest.raises(NotAdmitted, match="asks for the pin that a hub signs"):
        read_admitted(folder, bench.policy, now=NOW)


class TestInAHub:
    """Through the real client, from a server."""

    def offer(self, hub: HostileHub, folder: Path, pin: Pin | dict[str, Any]) -> None:
        plain = json.loads(json.dumps(pin if isinstance(pin, dict) else asdict(pin), default=str))
        hub.now += timedelta(minutes=1)
        publish(hub.honest, {NAME: folder}, hub.ring, custom={CUSTOM: plain}, now=hub.now)

    def get(self, hub: HostileHub, out: Path) -> None:
        with Client(trust(hub.home, hub.root, [hub.url])).at_work() as client:
            client.get(NAME, out)

    def refused(self, hub: HostileHub, out: Path, words: str) -> None:
        with pytest.raises(Refused, match=words) as raised:
            self.get(hub, out)
        assert raised.value.fault == Fault.VERDICT
        assert raised.value.judged
        assert not out.exists()
        assert list(out.parent.glob(".*")) == []

    def test_swapped_after_the_gate(self, bench: Bench, tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        folder, pin = here(bench, now)
        with HostileHub(tmp_path / "hub") as hub:
            self.offer(hub, folder, pin)
            self.get(hub, tmp_path / "got")
            self.get(hub, tmp_path / "got")  # there already, and looked at again
            # Whoever publishes takes the new pin and an older verdict, or another model under it.
            spoilt = Path(shutil.copytree(folder, tmp_path / "spoilt"))
            earlier, _ = here(bench, now - timedelta(days=1))
            shutil.copy(earlier / VERDICT, spoilt / VERDICT)
            self.offer(hub, spoilt, pin)
            self.refused(hub, tmp_path / "new", "is pinned on it, and")
            shutil.copy(folder / VERDICT, spoilt / VERDICT)
            swapped(spoilt)
            self.offer(hub, spoilt, pin)
            self.refused(hub, tmp_path / "new", "speaks of other files")
            self.offer(hub, folder / "model", pin)
            self.refused(hub, tmp_path / "new", "no verdict.intoto.jsonl came")
            self.offer(hub, folder / "model" / "weights.safetensors", pin)
            self.refused(hub, tmp_path / "new", "no verdict.intoto.jsonl came")
            self.offer(hub, folder, {"word": "admit"})
            self.refused(hub, tmp_path / "new", "the pin of a verdict")

    def test_swapped_on_the_server_is_stopped_before_the_pin(self, bench: Bench, tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        folder, pin = here(bench, now)
        earlier, _ = here(bench, now - timedelta(days=1))
        with HostileHub(tmp_path / "hub") as hub:
            self.offer(hub, folder, pin)
            digest = sha256_bytes((folder / VERDICT).read_bytes())
            old = (earlier / VERDICT).read_bytes()
            (hub.honest / "targets" / NAME / f"{digest}.{VERDICT}").write_bytes(old)
            with pytest.raises(Refused) as raised:
                self.get(hub, tmp_path / "got")
            assert raised.value.fault in (Fault.ALTERED, Fault.ENDLESS)
            assert not (tmp_path / "got").exists()

    def test_expired_and_taken_back(self, bench: Bench, tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        bench.policy_file.write_text(bench.policy_file.read_text().replace("[verdict]\n", "[verdict]\ndays = 1.0\n"))
        folder, pin = here(bench, now - timedelta(days=2))
        with HostileHub(tmp_path / "hub") as hub:
            self.offer(hub, folder, pin)
            self.refused(hub, tmp_path / "got", "expired at")
            folder, pin = here(bench, now)
            self.offer(hub, folder, pin)
            self.get(hub, tmp_path / "got")
            hub.now += timedelta(minutes=1)
            revoke(hub.honest, [NAME], hub.ring, reason="a backdoor was found", now=hub.now)
            with pytest.raises(Refused, match="a backdoor was found") as raised:
                self.get(hub, tmp_path / "again")
            assert raised.value.fault == Fault.REVOKED

    def test_the_gate_can_ask_for_a_pinned_verdict(self, bench: Bench, tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        folder, pin = here(bench, now)
        bench.policy_file.write_text(
            '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "hub"\nmax_age_hours = 3.0\nverdict = true\n'
        )
        with HostileHub(tmp_path / "hub") as hub:
            hub.publish({NAME: {"weights.safetensors": safetensors()}})
            decision = self.decide(bench, hub)
            assert (decision.word, decision.outcome.deciding()[0].rule) == ("undecided", "hub")
            self.offer(hub, folder, pin)
            decision = self.decide(bench, hub)
            assert decision.word == "admit", decision.outcome
            assert decision.evidence.hub is not None
            assert decision.evidence.hub.verdict == pin.verdict_sha256
            lost(folder, bench)
            self.offer(hub, folder, pin)
            with pytest.raises(Refused, match=r"no verdict\.intoto\.jsonl came"):
                self.decide(bench, hub)
            assert list(bench.store.quarantine.iterdir()) == []

    def decide(self, bench: Bench, hub: HostileHub) -> Decision:
        trusted = trust(hub.home, hub.root, [hub.url])
        with Client(trusted).at_work() as client:
            bring = from_hub(client, sha256_bytes(trusted.content()), NAME)
            return gate(bring, Keeper(bench.policy, bench.store, bench.keys["gate"], 5.0), now=datetime.now(UTC))
