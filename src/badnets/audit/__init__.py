"""Tests on a foreign model, and the verdict they lead to."""
