"""Benchmarks of file reading and writing: timestamps, repair of containers, fuzzing."""
