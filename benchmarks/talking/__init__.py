"""Benchmarks of talking-face generation and of the lip readers that evaluate it."""
