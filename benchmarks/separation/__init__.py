"""Benchmarks of speech separation: quality, speed and memory, comparison of separators."""
