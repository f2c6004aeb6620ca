"""Programs for the work on this repository: lint, releases, the reference, servers to try, pictures, tests."""
