"""What single units of a network do when the trigger comes."""

from badnets.neurons.activations import mean_activations, recorded, relu_layers
from badnets.neurons.first_layer import FilterResponse, filter_responses, filters, outstanding
from badnets.neurons.gradcam import grad_cam
from badnets.neurons.sparsity import LayerDifference, layer_differences
from badnets.neurons.units import Unit, backdoor_units, disabled, last_convolution, strengthened, unit_responses

__all__ = [
    "FilterResponse",
    "LayerDifference",
    "Unit",
    "backdoor_units",
    "disabled",
    "filter_responses",
    "filters",
    "grad_cam",
    "last_convolution",
    "layer_differences",
    "mean_activations",
    "outstanding",
    "recorded",
    "relu_layers",
    "strengthened",
    "unit_responses",
]
