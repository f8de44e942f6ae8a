"""How fast triggers are stamped, beside the paths that other BadNets code takes.

    python benchmarks/poisoning.py [--json] [--rounds 9]

60,000 grey images of 28x28, random pixels, one thread; all variants leave their input as it was and give the same
pixels. Variants, for `Pattern()` and for `SinglePixel()`:

1. trigger: our call on the uint8 tensor.
2. apply: `poison.apply` of a plan that stamps every image (mode "replace", rate 1), labels and checks included;
   the digest of the data, which an `ImageSet` computes once in its life, is not in it.
3. one by one: a transform for each image, uint8 tensor -> PIL -> put pixels -> uint8 tensor, as in most BadNets
   code; on every tenth image, as the speed does not depend on their number.
4. ART: `PoisoningAttackBackdoor` with `add_pattern_bd` or `add_single_bd` of the Adversarial Robustness Toolbox,
   on the same uint8 memory seen as NHWC. It gives labels as well; they are copied. It makes two or three plain
   copies of the array where we make one, so a ratio of five is out of reach here: memory is the limit of both.
5. ART, float32: the same on float32 in [0, 1], the dtype that its classifiers work with and its notebooks use.
6. copy and write: `clone` and one write for each pixel, the least that torch code can get by with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision import transforms

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import ImageSet
from badnets.poison import AllToAll, PoisonPlan, Recipe, apply, plan
from badnets.training import limited_threads
from badnets.triggers import Pattern, SinglePixel
from benchmarks.rounds import Bar, Outcome, Variant, compare, installed, machine, parser, print_outcome, take_turns
from benchmarks.training import random_digits

Images = UInt8[Tensor, "n 1 h w"]
Array = np.ndarray
Pixels = tuple[tuple[int, int], ...]
Paper = Pattern | SinglePixel

TRIGGERS: dict[str, Paper] = {"pattern": Pattern(), "pixel": SinglePixel()}
HAS_ART = installed("adversarial-robustness-toolbox") is not None
ONE_BY_ONE_SHARE = 10
NO_ART = "ART: not installed, so not compared (pip install adversarial-robustness-toolbox, group `bench`)"


class PutPixels:
    """Writes pixels into one PIL image, in place."""

    def __init__(self, pixels: Pixels, value: int) -> None:
        self.pixels, self.value = pixels, value

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image itself."""
        for row, column in self.pixels:
            image.putpixel((column, row), self.value)
        return image


def pixels_of(trigger: Paper) -> Pixels:
    """Row and column of each pixel it sets."""
    return ((trigger.row, trigger.column),) if isinstance(trigger, SinglePixel) else trigger.pixels


def one_by_one(images: Images, trigger: Paper) -> Images:
    """Stamped copies, each made by a transform of its own."""
    put = PutPixels(pixels_of(trigger), trigger.value)
    transform = transforms.Compose([transforms.ToPILImage(), put, transforms.PILToTensor()])
    return torch.stack([transform(image) for image in images])


def copy_and_write(images: Images, trigger: Paper) -> Images:
    """Stamped copies, by `clone` and plain writes."""
    stamped = images.clone()
    for row, column in pixels_of(trigger):
        stamped[:, :, row, column] = trigger.value
    return stamped


def art_attack(trigger: Paper, value: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    """ART's attack that sets the same pixels to `value`: from (n, h, w, c) and labels to their poisoned copies."""
    from art.attacks.poisoning import PoisoningAttackBackdoor  # noqa: PLC0415 - it may be absent
    from art.attacks.poisoning.perturbations import add_pattern_bd, add_single_bd  # noqa: PLC0415

    perturbation = add_single_bd if isinstance(trigger, SinglePixel) else add_pattern_bd
    attack: Callable[[Array, Array], tuple[Array, Array]] = PoisoningAttackBackdoor(
        partial(perturbation, pixel_value=value)
    ).poison
    return attack


def whole_plan(images: ImageSet, trigger: Paper) -> PoisonPlan:
    """Every image stamped where it is."""
    return plan(images, Recipe(AllToAll(), trigger, rate=1.0, mode="replace"))


def variants(images: ImageSet, trigger: Paper) -> dict[str, Variant]:
    """All that can run here."""
    few = images.images[::ONE_BY_ONE_SHARE]
    every = whole_plan(images, trigger)
    ours: dict[str, Variant] = {
        "trigger": lambda: len(trigger(images.images)),
        "apply": lambda: len(apply(images, every)),
        "one by one": lambda: len(one_by_one(few, trigger)),
        "copy and write": lambda: len(copy_and_write(images.images, trigger)),
    }
    return ours | (art_variants(images, trigger) if HAS_ART else {})


def art_variants(images: ImageSet, trigger: Paper) -> dict[str, Variant]:
    """ART on the same memory, and on float32."""
    array, labels = images.images.permute(0, 2, 3, 1).numpy(), images.labels.numpy()
    floats = array.astype(np.float32) / 255
    attack, attack_floats = art_attack(trigger, trigger.value), art_attack(trigger, trigger.value / 255)
    return {
        "ART": lambda: len(attack(array, labels)[0]),
        "ART, float32": lambda: len(attack_floats(floats, labels)[0]),
    }


def bars() -> list[Bar]:
    """What is aimed at, with what can be compared here."""
    against_art = [
        Bar("trigger", "ART", 5.0),
        Bar("trigger", "ART, float32", 5.0),
        Bar("apply", "ART"),
        Bar("copy and write", "ART"),
    ]
    return [
        Bar("trigger", "one by one", 50.0),
        Bar("apply", "one by one", 50.0),
        *(against_art if HAS_ART else []),
        Bar("trigger", "copy and write"),
    ]


def main() -> None:
    """Measure and print, one trigger after the other."""
    chosen = parser("Speed of stamping triggers, against other ways to do it.", rounds=9).parse_args()
    images = random_digits(60_000)
    speeds: dict[str, list[float]] = {}
    ratios = []
    where = machine()
    with limited_threads(1):
        for name, trigger in TRIGGERS.items():
            found = {
                f"{name}: {variant}": values
                for variant, values in take_turns(variants(images, trigger), chosen.rounds).items()
            }
            speeds |= found
            ratios += [compare(found, Bar(f"{name}: {bar.ours}", f"{name}: {bar.other}", bar.least)) for bar in bars()]
    title = "poisoning: 60,000 images of 1x28x28, one thread"
    print_outcome(Outcome(title, where, speeds, ratios, [] if HAS_ART else [NO_ART]), as_json=chosen.json)


if __name__ == "__main__":
    main()
