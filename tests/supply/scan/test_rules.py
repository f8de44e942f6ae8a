"""Ids of rules are stable: a new one is added to the golden list, none is ever changed or taken away."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import badnets.supply.scan as package
from badnets.supply.scan.rules import all_rules, rules_of

GOLDEN = Path(__file__).parents[2] / "golden" / "scan-rules.txt"


def test_ids_are_those_of_the_golden_list() -> None:
    assert list(all_rules()) == GOLDEN.read_text(encoding="utf-8").split()


def test_every_rule_of_every_module_is_in_the_table_once() -> None:
    known = all_rules()
    for info in pkgutil.iter_modules(package.__path__):
        for rule in rules_of(importlib.import_module(f"badnets.supply.scan.{info.name}")):
            assert known[rule.id] == rule


def test_rules_speak_in_sentences_and_name_a_weakness() -> None:
    for rule in all_rules().values():
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", rule.id)
        for text in (rule.what, rule.remedy):
            assert text[0].isupper() or text.startswith("torch"), rule.id
            assert text.endswith("."), rule.id
            assert len(text) <= 130, rule.id
        assert rule.cwe is None or re.fullmatch("CWE-[0-9]+", rule.cwe)
        assert rule.atlas is None or re.fullmatch(r"AML\.T[0-9]{4}(\.[0-9]{3})?", rule.atlas)
