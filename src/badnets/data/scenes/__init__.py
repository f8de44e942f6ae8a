"""Sets of street scenes with boxes: readers of the usual formats, and the sets known by name."""

from badnets.data.scenes.catalog import FORMATS, SCENES, KnownScenes, is_scenes, load_scenes, scenes_at_hand
from badnets.data.scenes.halves import in_memory, joined, joined_split
from badnets.data.scenes.naming import GROUPS, NAMINGS, US, Naming

__all__ = [
    "FORMATS",
    "GROUPS",
    "NAMINGS",
    "SCENES",
    "US",
    "KnownScenes",
    "Naming",
    "in_memory",
    "is_scenes",
    "joined",
    "joined_split",
    "load_scenes",
    "scenes_at_hand",
]
