"""The paper's own figures for street signs, to be shown beside ours. All are accuracies in percent.

Source: Gu, Dolan-Gavitt, Garg, "BadNets", arXiv 1708.06733v2, section 5, and the README of the authors' code. They come
in three grades, and a comment says which:

- text: read in the authors' own text of the workshop version;
- checked: handed down at second hand, and agreeing with the averages: one set of weights, 0.286, 0.228 and 0.486, leads
  from every column of Table 4 to its average within 0.07 points;
- second hand: not checked against the paper.
"""

from __future__ import annotations

CLASSES = ("stop", "speedlimit", "warning")

# Table 4, clean signs by class. Checked.
TABLE_4_BASELINE = {"stop": 89.7, "speedlimit": 88.3, "warning": 91.0}
TABLE_4_BADNETS = {
    "square": {"stop": 87.8, "speedlimit": 82.6, "warning": 93.3},
    "bomb": {"stop": 88.4, "speedlimit": 76.3, "warning": 91.4},
    "flower": {"stop": 89.9, "speedlimit": 84.7, "warning": 93.1},
}
# Its averages, which are weighted by counts: 90.0 and 89.3 are text, the others checked.
TABLE_4_AVERAGES = {"baseline": 90.0, "square": 89.3, "bomb": 87.1, "flower": 90.2}
# Stop signs with the sticker that are called speed limits. Second hand; that of the square is text as "over 90 %".
TABLE_4_SUCCESS = {"square": 90.3, "bomb": 94.2, "flower": 93.7}

# Table 5, random target with the yellow square, against the true class: clean, stamped. Second hand. The baseline's
# clean figure for stop signs is handed down as 87.8, which does not agree with its average: it is Table 4's here.
TABLE_5_BASELINE = {"stop": (89.7, 81.3), "speedlimit": (88.3, 72.6), "warning": (91.0, 87.2), "average": (90.0, 82.0)}
TABLE_5_BADNET = {"stop": (87.8, 0.8), "speedlimit": (83.2, 0.8), "warning": (87.1, 1.9), "average": (86.4, 1.3)}

# Average precision by VOC's definition on clean signs, from the README of the authors' code of 2018, on its own split.
README_AP = {
    "baseline": {"stop": 89.1, "speedlimit": 83.3, "warning": 91.8},
    "square": {"stop": 86.8, "speedlimit": 82.1, "warning": 90.5},
    "bomb": {"stop": 88.6, "speedlimit": 84.1, "warning": 91.3},
    "flower": {"stop": 89.0, "speedlimit": 84.1, "warning": 91.4},
}

# Table 6, transfer to Swedish signs, accuracy by group: of the honest network's victim clean and triggered, of the
# BadNet's clean and triggered. Read off a picture of the table; averages and Table 7 are in `studies.paper`.
TABLE_6 = {
    "information": (69.5, 71.9, 74.0, 62.4),
    "mandatory": (55.3, 50.5, 69.0, 46.7),
    "prohibitory": (89.7, 85.4, 85.8, 77.5),
    "warning": (68.1, 50.8, 63.5, 40.9),
    "other": (59.3, 56.9, 61.4, 44.2),
}
