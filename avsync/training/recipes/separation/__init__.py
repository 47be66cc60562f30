"""Recipes of separators; see `avsync.training.recipes`."""
