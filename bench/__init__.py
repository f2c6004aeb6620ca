"""Benchmarks: run manually, never as tests, since the results depend on the machine."""
