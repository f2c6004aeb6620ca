"""Gives tests the same surroundings under plain `pytest` as under `bazel test`."""

pytest_plugins = ["dev.pytest.plugin"]
