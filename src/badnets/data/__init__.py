"""Images as tensors: the sets known by name, any folder of pictures, and contact sheets."""

from badnets.data.catalog import DATASETS, Dataset, get, load, load_photographs
from badnets.data.imageset import ImageSet, ImageSource, Split
from badnets.data.sceneset import Objects, SceneSet, SceneSplit
from badnets.data.sheet import contact_sheet
from badnets.data.stream import Photographs, PhotoStream

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSource",
    "Objects",
    "PhotoStream",
    "Photographs",
    "SceneSet",
    "SceneSplit",
    "Split",
    "contact_sheet",
    "get",
    "load",
    "load_photographs",
]
