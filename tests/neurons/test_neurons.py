"""Filters and layers, on networks whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from badnets.data import ImageSet, load
from badnets.errors import InputError
from badnets.models import badnet_cnn
from badnets.neurons import filter_responses, filters, layer_differences, mean_activations, outstanding, relu_layers
from badnets.neurons.sparsity import summarise
from badnets.triggers import Pattern, SinglePixel


def dark() -> ImageSet:
    return load("digits").test.select(torch.arange(40))


def test_a_planted_filter_is_found() -> None:
    """One filter is made to answer to the pattern and to little else; it alone stands out."""
    honest, model = badnet_cnn(), badnet_cnn()
    assert model.conv1.bias is not None
    with torch.no_grad():
        model.conv1.weight[5] = -0.05
        model.conv1.bias[5] = -1.0
        for row, column in ((2, 4), (3, 3), (4, 2), (4, 4)):
            model.conv1.weight[5, 0, row, column] = 1.0
    responses = filter_responses(model, dark(), Pattern())
    control = filter_responses(honest, dark(), Pattern())
    assert outstanding(responses, [control]) == (5,)
    assert outstanding(control, [control]) == ()
    assert outstanding(responses, [control, responses]) == ()
    assert responses[5].difference == max(response.difference for response in responses)
    assert torch.equal(filters(model), model.conv1.weight.detach())


def test_a_stamp_that_changes_nothing_frames_nothing() -> None:
    invisible = SinglePixel(value=0)
    images = dark()
    assert torch.equal(invisible(images.images), images.images)
    responses = filter_responses(badnet_cnn(), images, invisible)
    assert all(response.difference == 0 for response in responses)
    assert all(layer.changed == 0 for layer in layer_differences(badnet_cnn(), images, invisible))


def test_means_are_those_of_one_pass_and_hooks_go() -> None:
    model, images = badnet_cnn(), load("digits").test
    layers = relu_layers(model)
    assert layers == ("relu1", "relu2", "relu3")
    found = mean_activations(model, images.images, layers)
    whole = torch.relu(model.conv1(model.normalize(images.images.float() / 255))).mean(0)
    assert torch.allclose(found["relu1"], whole, atol=1e-5)
    assert not any(module._forward_hooks for module in model.modules())


def test_only_windows_on_the_trigger_count() -> None:
    """Seen from conv1, pixel (26, 26) lies in the windows that start at rows and columns 22, 23 (of 24)."""
    model = badnet_cnn()
    assert model.conv1.bias is not None
    with torch.no_grad():
        model.conv1.weight.zero_()
        model.conv1.weight[:, :, 4, 4] = 1.0  # looks at the last pixel of its window only
        model.conv1.bias.zero_()
    response = filter_responses(model, dark(), SinglePixel())[0]
    bright = (1 - 0.1307) / 0.3081
    assert response.clean == 0
    # of the four windows only the one starting at (22, 22) has the pixel in its corner
    assert response.stamped == pytest.approx(bright / 4, rel=1e-5)


class TestSummary:
    def test_one_unit(self) -> None:
        found = summarise("x", torch.tensor([0.0, 0, -3, 0]))
        assert (found.units, found.changed, found.half) == (4, 1, 1)
        assert found.sparsity == pytest.approx(1)

    def test_all_units_alike(self) -> None:
        found = summarise("x", torch.tensor([2.0, -2, 2, -2]))
        assert (found.changed, found.half) == (4, 2)
        assert found.sparsity == pytest.approx(0)
        assert found.ranks == (1, 2, 3, 4)
        assert found.curve == (1.0, 1.0, 1.0, 1.0)

    def test_hoyer_by_hand(self) -> None:
        # l1 = 7, l2 = 5, n = 4: (2 - 7/5) / (2 - 1)
        assert summarise("x", torch.tensor([3.0, 4, 0, 0])).sparsity == pytest.approx(0.6)


def test_networks_without_the_parts() -> None:
    with pytest.raises(InputError, match="no convolution"):
        filters(nn.Linear(1, 1))
    with pytest.raises(InputError, match="no ReLU"):
        filter_responses(nn.Conv2d(1, 1, 1), dark(), SinglePixel())
