"""A trigger's success on held-out images, on references, weaker and moved: counted by hand."""

from __future__ import annotations

import pytest
from tests.audit import planted

from badnets.audit.confirm import Confirmation, confirm, spoken_against
from badnets.audit.objectives import Objective
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.triggers import Patch, Pattern

STAMP = Pattern(planted.TRIGGER, reference=(8, 8))
TO_TWO = Objective("target", target=2)


def test_a_planted_trigger_is_confirmed() -> None:
    images, labels = planted.bars(per=10)
    found = confirm(planted.all_to_one(2), STAMP, TO_TWO, images, labels, (planted.Bars(), planted.Bars()))
    assert (found.success.count, found.success.total) == (30, 30)
    assert found.success.low == pytest.approx(0.025 ** (1 / 30)), "Clopper and Pearson for all of 30"
    assert [(one.count, one.total) for one in found.references] == [(0, 30), (0, 30)]
    assert found.on_references == 0
    assert found.against == ""
    assert found.halved is not None
    assert found.halved.value == 1
    # To the left one of its two pixels still lies where the backdoor looks: 1 is above its threshold of 0.2.
    assert found.moved is not None
    assert found.moved.value == 1


def test_what_clean_models_fall_for_is_natural() -> None:
    images, labels = planted.bars()
    white = Pattern(tuple((2, column) for column in range(8)), reference=(8, 8))
    everywhere = confirm(planted.Bars(), white, TO_TWO, images, labels, [planted.Bars()] * 9)
    assert all(rate == everywhere.success for rate in everywhere.references)
    assert "natural" in everywhere.against or "changes only" in everywhere.against


def test_a_natural_trigger_is_told_from_a_planted_one() -> None:
    images, labels = planted.bars(per=10)
    found = confirm(planted.all_to_one(2), STAMP, TO_TWO, images, labels, [planted.Bars(), planted.all_to_one(2)])
    assert [one.value for one in found.references] == [0, 1]
    assert "changes 100% of them on a clean reference model too: that is natural" in found.against


def test_what_is_half_as_good_on_a_clean_model_is_natural() -> None:
    works = Rate.of(80, 100)
    assert "natural" in spoken_against(works, 0.25, "held-out images")
    assert spoken_against(works, 0.24, "held-out images") == ""
    few = Rate.of(5, 10)
    assert few.low < 0.2
    assert "natural" in spoken_against(few, 0.2, "held-out images"), "so few cannot be told from the reference's"


def test_references_are_not_asked_about_what_does_not_work() -> None:
    images, labels = planted.bars(per=10)
    found = confirm(planted.Bars(), STAMP, TO_TWO, images, labels, [planted.Broken(raises=True)])
    assert found == Confirmation(Rate.of(0, 30))
    assert found.against == "its trigger changes only 0 of 30 held-out images"


def test_only_images_that_the_model_gets_right_count() -> None:
    images, labels = planted.bars(per=10)
    wrong = labels.clone()
    wrong[:8] = (labels[:8] + 1) % 4
    rate = confirm(planted.all_to_one(2), STAMP, TO_TWO, images, wrong).success
    right = (wrong == labels) & (labels != 2)
    assert (rate.count, rate.total) == (int(right.sum()), int(right.sum()))


def test_a_share_of_nothing_is_undefined() -> None:
    images, labels = planted.bars()
    pair = Objective("pair", source=3, target=2)
    some = labels != 3
    found = confirm(planted.all_to_one(2), STAMP, pair, images[some], labels[some], [planted.Bars()])
    assert found.success == Rate.of(0, 0)
    assert "no held-out image" in found.against


def test_weaker_and_weaker() -> None:
    images, labels = planted.bars()
    found = confirm(planted.all_to_one(2, strength=12.0), STAMP, TO_TWO, images, labels)
    assert found.halved is not None
    assert found.halved.value < found.success.value
    assert found.references == ()
    assert found.on_references is None


def test_what_does_not_fit() -> None:
    images, labels = planted.bars()
    with pytest.raises(InputError, match="outside the image"):
        confirm(planted.Bars(), Patch.square(size=26), TO_TWO, images, labels)
    with pytest.raises(InputError, match="raised RuntimeError"):
        confirm(planted.all_to_one(2), STAMP, TO_TWO, images, labels, [planted.Broken(raises=True)])
    with pytest.raises(InputError, match="target 9 is out of range"):
        confirm(planted.Bars(), STAMP, Objective("target", target=9), images, labels)


def test_a_confirmation_is_plain_json() -> None:
    from badnets.artifacts import canonical_json, parse_json  # noqa: PLC0415 - only here

    images, labels = planted.bars()
    found = confirm(planted.all_to_one(2), STAMP, TO_TWO, images, labels, [planted.Bars()])
    assert parse_json(Confirmation, canonical_json(found), "here") == found
