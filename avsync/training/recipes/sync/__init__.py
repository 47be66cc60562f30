"""Recipes of sync models; see `avsync.training.recipes`."""
