"""Fuzzing of the scan's readers, guided by coverage; not part of the tests."""
