"""Benchmarks of offset estimation: accuracy, calibration, speed, comparison of models."""
