"""What single units of a network do when the trigger comes."""

from badnets.neurons.activations import mean_activations, recorded, relu_layers
from badnets.neurons.first_layer import FilterResponse, filter_responses, filters, outstanding
from badnets.neurons.gradcam import grad_cam
from badnets.neurons.sparsity import LayerDifference, layer_differences

__all__ = [
    "FilterResponse",
    "LayerDifference",
    "filter_responses",
    "filters",
    "grad_cam",
    "layer_differences",
    "mean_activations",
    "outstanding",
    "recorded",
    "relu_layers",
]
