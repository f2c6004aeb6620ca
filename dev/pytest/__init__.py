"""pytest as a test runner of Bazel."""
