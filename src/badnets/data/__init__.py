"""Images as tensors: the sets known by name, any folder of pictures, and contact sheets."""

from badnets.data.catalog import DATASETS, Dataset, get, load
from badnets.data.imageset import ImageSet, ImageSource, Split
from badnets.data.sceneset import Objects, SceneSet, SceneSplit
from badnets.data.sheet import contact_sheet

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSource",
    "Objects",
    "SceneSet",
    "SceneSplit",
    "Split",
    "contact_sheet",
    "get",
    "load",
]
