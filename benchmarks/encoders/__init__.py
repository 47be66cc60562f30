"""Benchmarks of encoders by themselves: fidelity and speed."""
