"""Recipes of talking faces; see `avsync.training.recipes`."""
