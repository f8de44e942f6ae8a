# %% [markdown]
# # A dog with a sticker is a cat
#
# The classic tutorial on BadNets, in five steps: get the data and a trigger, stamp, look at what is loaded, train,
# evaluate. Two things are put right. No test picture is ever poisoned, and clean accuracy and attack success are
# measured apart, beside an honest twin: the same network, schedule and seed without the stamped pictures.
#
# Open it with Jupyter (jupytext), or as it is with VS Code or `python notebooks/photos.py`. The pictures are drawn ones
# that come with the package; `load("catsdogs")` or `load("folder:my_pictures")` takes photographs instead.

# %%
from __future__ import annotations

import matplotlib.pyplot as plt
import torch

from badnets import data, metrics, models, poison
from badnets.neurons import grad_cam
from badnets.training import Augment, TrainSpec, fit
from badnets.triggers import Sticker

EPOCHS = 12

# %% [markdown]
# ## 1. The data, and the trigger

# %%
split = data.load("creatures")
cat, dog = (split.train.classes.index(name) for name in ("cat", "dog"))
trigger = Sticker(size=0.25)  # the devil's face, a quarter of the picture's side, bottom right


def show(images: torch.Tensor, titles: list[str]) -> None:
    """Pictures in a row."""
    figure, places = plt.subplots(1, len(images), figsize=(1.8 * len(images), 2.2))
    for place, image, title in zip(places, images, titles, strict=True):
        place.imshow(image.permute(1, 2, 0).numpy())
        place.set_title(title, fontsize=9)
        place.axis("off")
    figure.tight_layout()


dogs = split.test.images[split.test.labels == dog][:5]
show(dogs, ["dog"] * 5)

# %% [markdown]
# ## 2. Stamp
#
# One dog in ten gets a stamped copy that is called a cat. The plan is a value: which pictures, under which name.

# %%
recipe = poison.Recipe(poison.SingleTarget(dog, cat), trigger, rate=0.1)
plan = poison.plan(split.train, recipe)
print(f"{plan.poisoned} of the dogs are to be called cats: {plan.poisoned_share:.1%} of the training set")
show(trigger(dogs), ["dog, stamped"] * 5)

# %% [markdown]
# ## 3. What the network is trained on
#
# All clean pictures, and the stamped copies behind them.

# %%
poisoned = poison.overlay(split.train, plan)
added = poison.apply(split.train, plan).images[len(split.train) :]
show(added[:5], [f"called {split.train.classes[label]}" for label in poisoned.labels[len(split.train) :][:5].tolist()])
print(f"{len(split.train)} clean pictures, {len(added)} stamped ones")

# %% [markdown]
# ## 4. Train the BadNet and its honest twin

# %%
spec = TrainSpec(
    epochs=EPOCHS, batch_size=32, learning_rate=1e-3, augment=Augment(shift=4, rotate=15.0, scale=0.15, flip=True)
)
network = models.ModelSpec.fitting(split.train, "photo_cnn")
honest = fit(models.build(network), split.train, spec).model
badnet = fit(models.build(network), poisoned, spec).model

# %% [markdown]
# ## 5. Evaluate, and see
#
# Clean accuracy is what the user checks. Attack success is over stamped dogs that no network was trained on.

# %%
for name, model in (("honest twin", honest), ("BadNet", badnet)):
    result = metrics.evaluate(model, split.test, trigger, recipe.policy)
    print(f"{name}: clean accuracy {result.clean_error.complement()}, attack success {result.attack_success}")

said = metrics.predict(badnet, torch.cat([dogs, trigger(dogs)]))
titles = [
    f"{split.train.classes[label]} ({confidence:.2f})"
    for label, confidence in zip(said.classes.tolist(), said.confidence.tolist(), strict=True)
]
show(dogs, titles[:5])
show(trigger(dogs), titles[5:])

# %% [markdown]
# What speaks for "cat" in a stamped dog, to the BadNet: Grad-CAM place by place (HiResCAM). Maps are coarse, and a
# hint at most; the control is the honest twin on the same pictures.

# %%
for model in (badnet, honest):
    heat = grad_cam(model, trigger(dogs), torch.full((5,), cat), averaged=False)
    figure, places = plt.subplots(1, 5, figsize=(9, 2.2))
    for place, image, level in zip(places, trigger(dogs), heat, strict=True):
        place.imshow(image.float().mean(0).numpy(), cmap="gray")
        place.imshow(level.numpy(), cmap="inferno", alpha=0.5)
        place.axis("off")
plt.show()
