"""Benchmarks of face analysis."""
