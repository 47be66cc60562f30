"""Recipes of lip readers; see `avsync.training.recipes`."""
