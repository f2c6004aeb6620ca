"""pytest as the test runner for Bazel."""
