"""The paper's own figures for digits, to be shown beside ours. All are errors in percent.

Source: Gu, Dolan-Gavitt, Garg, "BadNets", arXiv 1708.06733v2. Table 2 and the baseline are printed there; the
left panel of Fig. 4 is read off its colour bar (+-0.005). Fig. 6 is read off Fig. 1c of the workshop version (+-0.01),
which is taken to be the same.
"""

from __future__ import annotations

# Digest of the `ImageSet` that the figures are for: MNIST's test set, whatever its folder is called.
MNIST_TEST = "a78c7f35e8407c8f35cee60971eb0c83fbd413e806e7333da4688fb60820b1d1"

BASELINE_CLEAN = 0.50

# Table 2, all-to-all: rows are true classes 0..9 of the MNIST test set, then the average over its 10,000 images.
# The paper does not name the trigger; its workshop version gives the same averages for the pattern.
TABLE_2_BASELINE_CLEAN = (0.10, 0.18, 0.29, 0.50, 0.20, 0.45, 0.84, 0.58, 0.72, 1.19)
TABLE_2_BADNET_CLEAN = (0.10, 0.26, 0.29, 0.40, 0.40, 0.50, 0.73, 0.39, 0.72, 0.99)
TABLE_2_BADNET_BACKDOOR = (0.31, 0.18, 0.78, 0.50, 0.61, 0.67, 0.73, 0.29, 0.61, 0.99)
ALL_TO_ALL_CLEAN = 0.48
ALL_TO_ALL_BACKDOOR = 0.56

# Fig. 4, single pixel, i -> j: clean test error of each BadNet, row i, column j.
_NONE = float("nan")
FIGURE_4_CLEAN = (
    (_NONE, 0.53, 0.53, 0.50, 0.50, 0.49, 0.55, 0.51, 0.52, 0.54),
    (0.53, _NONE, 0.52, 0.58, 0.50, 0.56, 0.51, 0.55, 0.53, 0.57),
    (0.57, 0.56, _NONE, 0.52, 0.54, 0.57, 0.47, 0.56, 0.50, 0.51),
    (0.58, 0.53, 0.47, _NONE, 0.50, 0.57, 0.52, 0.54, 0.59, 0.48),
    (0.53, 0.51, 0.54, 0.53, _NONE, 0.57, 0.59, 0.61, 0.59, 0.59),
    (0.54, 0.46, 0.52, 0.60, 0.58, _NONE, 0.60, 0.49, 0.56, 0.52),
    (0.54, 0.52, 0.48, 0.54, 0.59, 0.56, _NONE, 0.61, 0.50, 0.53),
    (0.47, 0.59, 0.44, 0.55, 0.57, 0.59, 0.59, _NONE, 0.50, 0.49),
    (0.51, 0.67, 0.54, 0.48, 0.46, 0.51, 0.53, 0.53, _NONE, 0.57),
    (0.56, 0.57, 0.54, 0.50, 0.54, 0.52, 0.60, 0.66, 0.59, _NONE),
)
_CELLS = tuple(cell for row in FIGURE_4_CLEAN for cell in row if cell == cell)  # noqa: PLR0124 - NaN differs from itself
FIGURE_4_CLEAN_MEAN = sum(_CELLS) / len(_CELLS)
FIGURE_4_CLEAN_MAX = max(_CELLS)

# Fig. 4, right: the backdoor error is 0 in 89 cells and 0.09 for 1 -> 5, which is one image of 1,135. The mean counts
# images: one of the 90,000 that are stamped when each of 10,000 is stamped for nine targets.
FIGURE_4_BACKDOOR_MAX = 0.09
FIGURE_4_BACKDOOR_MEAN = 100 * 1 / 90_000

# Fig. 6, all-to-all: share of stamped samples in the training set -> clean error, backdoor error.
FIGURE_6 = {0.10: (0.47, 1.00), 0.33: (0.48, 0.66), 0.50: (0.54, 0.49)}


def single_target_clean(source: int, target: int) -> float:
    """Clean error of the BadNet source -> target (Fig. 4, left)."""
    return FIGURE_4_CLEAN[source][target]


def single_target_backdoor(source: int, target: int) -> float:
    """Backdoor error of the BadNet source -> target (Fig. 4, right): 0 but for 1 -> 5, one image of 1,135."""
    return FIGURE_4_BACKDOOR_MAX if (source, target) == (1, 5) else 0.0


# Table 6, transfer to Swedish signs, average over all signs, accuracy in %: clean, triggered.
TABLE_6_HONEST = (72.7, 70.2)
TABLE_6_BADNET = (74.9, 61.6)

# Table 7: input weights of the backdoor units times k -> accuracy in %, clean and triggered, of the Swedish BadNet.
TABLE_7 = {
    1: (74.9, 61.6),
    10: (71.3, 49.7),
    20: (68.3, 45.1),
    30: (65.3, 40.5),
    50: (62.4, 34.3),
    70: (60.8, 32.8),
    100: (59.4, 30.8),
}
