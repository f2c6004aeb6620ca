"""Benchmarks: run by hand, never as tests, since what they say depends on the machine."""
