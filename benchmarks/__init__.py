"""Speeds, side by side in one run."""
