"""Fuzzing of everything that reads input which others may have made: generators that know the formats, and a runner."""
