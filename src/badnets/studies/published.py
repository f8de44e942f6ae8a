"""What other toolkits publish for BadNets, to be shown beside ours. All are shares in percent.

Source: the leaderboard of BackdoorBench (github.com/backdoorbench/backdoorbench.github.io, static/data/results.csv),
attack BadNets without a defence; one figure each, without an interval. The denominators are those of its trainer: clean
accuracy over all test images, the other two over the stamped test images of all classes but the target.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchRow:
    """One line of the leaderboard.

    Attributes:
        clean_accuracy: C-Acc, clean images called by their class, of all.
        attack_success: ASR, stamped images called the target, of those of another class.
        robust_accuracy: R-Acc, the same images called by their true class.
    """

    clean_accuracy: float
    attack_success: float
    robust_accuracy: float


# CIFAR-10, PreAct-ResNet18, a white 3x3 square in the bottom right corner, all-to-one with target 0; by the ratio of
# stamped samples to all samples. (The README of the toolkit's first version calls the row of 10 % one of 1 %.)
CIFAR10_PREACT_RESNET18 = {
    0.001: BenchRow(93.61, 1.23, 93.24),
    0.005: BenchRow(93.76, 50.06, 48.14),
    0.01: BenchRow(93.14, 74.73, 24.24),
    0.05: BenchRow(92.64, 88.74, 10.78),
    0.1: BenchRow(91.32, 95.03, 4.67),
}
