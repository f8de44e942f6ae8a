"""Images and scenes as tensors: the sets known by name, any folder of pictures, and contact sheets."""

from badnets.data.catalog import DATASETS, Dataset, get, load, load_photographs
from badnets.data.imageset import ImageSet, ImageSource, Split
from badnets.data.scenes import SCENES, in_memory, load_scenes
from badnets.data.sceneset import Objects, SceneSet, SceneSplit
from badnets.data.sheet import contact_sheet
from badnets.data.stream import Photographs, PhotoStream

__all__ = [
    "DATASETS",
    "SCENES",
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
    "in_memory",
    "load",
    "load_photographs",
    "load_scenes",
]
