"""Named streams: apart from each other, the same for ever, and never the global generator."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from badnets.seeds import derive, generator, isolated

NAMES = st.lists(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"])) | st.integers(), max_size=4)


def test_the_derivation_never_changes() -> None:
    # Another value here means: no old run can be repeated. Then say so in the changelog.
    assert derive(0, "poison", "rows") == 6_788_250_252_105_350_739
    assert derive(7, "order", 3) == 929_583_480_629_082_613


@given(st.integers(), NAMES)
def test_a_stream_is_the_head_of_a_digest(seed: int, names: list[str | int]) -> None:
    digest = hashlib.sha256("/".join([str(seed), *map(str, names)]).encode()).hexdigest()
    assert derive(seed, *names) == int(digest[:16], 16) // 2
    assert 0 <= derive(seed, *names) < 2**63, "torch takes no larger seed"


@given(st.tuples(st.integers(), NAMES), st.tuples(st.integers(), NAMES))
def test_streams_of_other_names_or_seeds_differ(
    one: tuple[int, list[str | int]], two: tuple[int, list[str | int]]
) -> None:
    same = [str(one[0]), *map(str, one[1])] == [str(two[0]), *map(str, two[1])]
    assert (derive(one[0], *one[1]) == derive(two[0], *two[1])) == same


def test_generators_repeat_and_are_apart() -> None:
    def draw(*names: str | int, seed: int = 0) -> list[int]:
        return torch.randint(0, 1 << 40, (8,), generator=generator(seed, *names)).tolist()

    assert draw("order", 1) == draw("order", 1)
    streams = [draw("order", 1), draw("order", 2), draw("init", 1), draw("order", 1, seed=1), draw()]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_generators_leave_the_global_one_alone() -> None:
    before = torch.random.get_rng_state()
    torch.rand(5, generator=generator(3, "init"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_isolated_is_the_stream_of_that_name_inside_and_nothing_outside() -> None:
    before = torch.random.get_rng_state()
    with isolated(5, "dropout", 2):
        inside = torch.rand(7)
        with isolated(6, "other"):
            torch.rand(3)
        after_inner = torch.rand(7)
    assert torch.equal(torch.random.get_rng_state(), before)
    stream = generator(5, "dropout", 2)
    assert torch.equal(inside, torch.rand(7, generator=stream))
    assert torch.equal(after_inner, torch.rand(7, generator=stream)), "an inner stream must not move the outer one"


def test_isolated_restores_after_a_fault() -> None:
    before = torch.random.get_rng_state()

    def draw_and_fail() -> None:
        with isolated(5, "dropout"):
            torch.rand(7)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        draw_and_fail()
    assert torch.equal(torch.random.get_rng_state(), before)
