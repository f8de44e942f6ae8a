"""Data filters: planted features, scikit-learn and NumPy as oracles, and sets without poison."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.linalg import expm
from sklearn.decomposition import PCA
from tests.defenses.planted import Planted, corner, quadrants
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses import FILTERS
from badnets.defenses.data import (
    Activations,
    ClusteringSpec,
    SpectralSpec,
    SpectreSpec,
    activation_clustering,
    activations,
    scan,
    spectral_signatures,
    spectre,
)
from badnets.defenses.data.activations import principal
from badnets.defenses.data.spectral_signatures import signature
from badnets.defenses.data.spectre import entropy_weights
from badnets.errors import InputError, Stopped
from badnets.training.features import Features

CLASSES, SIZE, POISONED = 6, 24, 2


def features(values: Tensor, labels: Tensor, classes: int = CLASSES) -> Features:
    return Features(values.float(), labels, tuple(map(str, range(classes))), "made", "made")


def made(poison: int, *, classes: int = CLASSES, per_class: int = 200, seed: int = 0) -> tuple[Activations, Tensor]:
    """Clouds of one shape about the middles of classes; `poison` samples of others, moved, carry the label 2."""
    stream = torch.Generator().manual_seed(seed)
    middles = 6 * torch.randn(classes, SIZE, generator=stream)
    spread = torch.linspace(0.3, 1.5, SIZE)
    shift = torch.zeros(SIZE)
    shift[0] = 8.0

    def cloud(labels: Tensor) -> Tensor:
        return middles[labels] + spread * torch.randn(len(labels), SIZE, generator=stream)

    labels = torch.arange(classes * per_class) % classes
    source = torch.zeros(poison, dtype=torch.int64)
    bad = torch.arange(len(labels) + poison) >= len(labels)
    # What a backdoor does in the last layer: near the target's middle, and off in a direction of its own.
    moved = middles[POISONED % classes] + 0.3 * (cloud(source) - middles[0]) + shift
    values = torch.cat([cloud(labels), moved])
    suspect = features(values, torch.cat([labels, torch.full((poison,), POISONED % classes)]), classes)
    known = torch.arange(classes * 100) % classes
    return Activations(suspect, features(cloud(known), known, classes)), bad


@pytest.mark.parametrize("name", FILTERS)
def test_planted_poison_is_found_in_its_class(name: str) -> None:
    found, bad = made(20)
    sifted = FILTERS[name](found)
    hits, alarms = sifted.removed[bad].double().mean(), sifted.removed[~bad].double().mean()
    assert hits > 0.9
    assert alarms < (0.16 if name == "spectral-signatures" else 0.05)
    assert max(sifted.classes, key=lambda one: one.statistic).label == POISONED
    assert [one.removed for one in sifted.classes] == [
        int(sifted.removed[found.suspect.labels == label].sum()) for label in range(CLASSES)
    ]
    of_class = found.suspect.labels == POISONED
    assert sifted.scores[bad].median() > sifted.scores[of_class & ~bad].quantile(0.95)


@pytest.mark.parametrize("name", FILTERS)
def test_a_set_without_poison(name: str) -> None:
    lost = [float(FILTERS[name](made(0, seed=seed)[0]).removed.double().mean()) for seed in range(3)]
    # Of small classes SPECTRE's directions fit the suspect samples better than the clean ones.
    least, most = {"spectral-signatures": (0.149, 0.151), "spectre": (0, 0.05)}.get(name, (0, 0.01))
    assert least <= np.mean(lost) <= most


@pytest.mark.parametrize("name", FILTERS)
def test_classes_that_cannot_be_judged(name: str) -> None:
    found, _ = made(20)
    labels = found.suspect.labels
    first = torch.arange(len(labels)) < 6
    kept = (labels != 4) & ((labels != 5) | first)
    less = Activations(features(found.suspect.values[kept], labels[kept]), found.clean)
    sifted = FILTERS[name](less)
    assert sifted.classes[4].samples == 0
    assert sifted.classes[4].reason
    assert np.isnan(sifted.classes[4].statistic)
    assert len(sifted.scores) == len(less.suspect)
    assert sifted.classes[POISONED].removed > 15


@pytest.mark.parametrize("name", FILTERS)
def test_two_classes(name: str) -> None:
    sifted = FILTERS[name](made(20, classes=2)[0])
    assert len(sifted.classes) == 2
    assert sifted.scores.isfinite().all()


@pytest.mark.parametrize("name", FILTERS)
def test_constant_features_are_no_reason_to_throw_away(name: str) -> None:
    labels = torch.arange(300) % 3
    values = torch.ones(300, 5)
    known = features(torch.ones(30, 5), torch.arange(30) % 3, 3)
    sifted = FILTERS[name](Activations(features(values, labels, 3), known))
    assert sifted.scores.isfinite().all()
    assert not sifted.removed.any() or name == "spectral-signatures"


@pytest.mark.parametrize("name", FILTERS)
def test_one_class_without_clean_images(name: str) -> None:
    found, _ = made(20)
    kept = found.clean.labels != POISONED
    less = Activations(found.suspect, features(found.clean.values[kept], found.clean.labels[kept]))
    assert FILTERS[name](less).scores.isfinite().all()


@pytest.mark.parametrize("name", FILTERS)
def test_the_same_seed_gives_the_same_answer(name: str) -> None:
    found, _ = made(20)
    first, second = (FILTERS[name](found, seed=5) for _ in range(2))
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.removed, second.removed)


def test_undefined_features_are_refused() -> None:
    found, _ = made(0)
    values = found.suspect.values.clone()
    values[3, 1] = float("nan")
    with pytest.raises(InputError, match="undefined"):
        Activations(features(values, found.suspect.labels), found.clean)
    with pytest.raises(InputError, match="of one model"):
        Activations(features(found.suspect.values[:, :3], found.suspect.labels), found.clean)


@given(some.integers(2, 40), some.integers(1, 12), some.integers(0, 30))
def test_principal_directions_are_scikit_learns(n: int, f: int, seed: int) -> None:
    values = torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * torch.arange(
        1, f + 1
    )
    count = min(n - 1, f, 3)
    ours = principal(values, count)
    theirs = PCA(count, svd_solver="full").fit(values.numpy()).components_.T
    assert ours.shape == theirs.shape
    assert np.allclose(np.abs((ours.numpy() * theirs).sum(0)), 1, atol=1e-6)


def test_signatures_are_squared_first_components() -> None:
    values = torch.randn(50, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert np.allclose(signature(values), PCA(1, svd_solver="full").fit_transform(values.numpy())[:, 0] ** 2)
    assert signature(torch.ones(4, 3)).eq(0).all()


def test_entropy_weights_are_scipys() -> None:
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * torch.arange(1, 6)
    covariance = rows.T @ rows / 60
    q = expm(4 * (covariance.numpy() - np.eye(5)) / (np.linalg.norm(covariance.numpy(), 2) - 1))
    assert np.allclose(entropy_weights(covariance), q / np.trace(q))


def test_half_of_a_class_may_be_poison_for_clustering() -> None:
    found, bad = made(190)
    sifted = activation_clustering(found, ClusteringSpec())
    assert sifted.removed[bad].double().mean() > 0.95
    assert not activation_clustering(found, ClusteringSpec(largest=0.2)).removed.any()


def test_scan_looks_at_classes_side_by_side() -> None:
    indices = [one.statistic for one in scan(made(20)[0]).classes]
    assert indices[POISONED] > 7.39
    assert max(index for label, index in enumerate(indices) if label != POISONED) < 7.39
    assert [one.statistic for one in scan(made(20, classes=2)[0]).classes] == [0, 0]
    found, _ = made(0)
    with pytest.raises(InputError, match="at least two clean images"):
        scan(Activations(found.suspect, features(found.clean.values[:1], found.clean.labels[:1])))


def test_how_much_is_thrown_away_follows_the_expected_share() -> None:
    found, _ = made(20)
    for share in (0.02, 0.2):
        of_class = [one.removed / one.samples for one in spectral_signatures(found, SpectralSpec(share)).classes]
        assert all(lost == pytest.approx(1.5 * share, abs=0.005) for lost in of_class)
        assert all(one.removed <= 1.5 * share * one.samples + 1 for one in spectre(found, SpectreSpec(share)).classes)


def test_one_pass_of_a_real_network() -> None:
    model, images, clean = Planted(), quadrants(120), quadrants(60, seed=1)
    stamped = images.images.clone()
    stamped[:20] = corner(stamped[:20])
    labels = images.labels.clone()
    labels[:20] = 0
    suspect = ImageSet(stamped, labels, images.classes, "suspect")
    found = activations(model, suspect, clean)
    with torch.no_grad():
        whole = model.flatten(model.pool(model.relu(model.conv(stamped.float() / 255))))
    assert torch.allclose(found.suspect.values, whole, atol=1e-6)
    assert not any(module._forward_hooks for module in model.modules())
    false = (images.labels != 0) & (torch.arange(120) < 20)
    assert activation_clustering(found).removed[false].all()
    with pytest.raises(InputError, match="no fully connected layer"):
        activations(nn.Conv2d(1, 4, 8), suspect, clean)
    with pytest.raises(Stopped):
        activations(model, suspect, clean, stop=lambda: True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpectralSpec(0.7),
        lambda: SpectreSpec(directions=0),
        lambda: ClusteringSpec(largest=0.6),
        lambda: ClusteringSpec(directions=0),
    ],
)
def test_what_cannot_be_asked_for(make: object) -> None:
    with pytest.raises(InputError):
        make()  # type: ignore[operator]
