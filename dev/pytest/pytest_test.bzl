"""pytest under `bazel test`."""

load("//tools:python.bzl", "py_test")

_MAIN = Label("//dev/pytest:main.py")
_RUNNER = Label("//dev/pytest:runner")

def pytest_test(name, srcs = None, deps = [], args = [], size = "small", **kwargs):
    """Declares a test target that runs the tests in Python files with pytest.

    `--test_filter` is an expression as for `pytest -k`, or a node ID (`path/to/foo_test.py::test_bar`). `shard_count`
    distributes the tests of all files over shards. `--test_arg` is passed to pytest. Files in the directory of the
    fixture `artifacts` are kept. A target without tests fails, and so does a filter that selects no test of a target.

    Args:
        name: name of the target.
        srcs: files with tests (`*_test.py`), and other files that only they import; `NAME.py` by default.
        deps: libraries that they import; pytest is added.
        args: further arguments for pytest.
        size: of the test, which limits its time.
        **kwargs: attributes of `py_test`: data, size, tags, shard_count, env and others.
    """
    srcs = srcs or [name + ".py"]
    tests = [src for src in srcs if src.endswith("_test.py")]
    if not tests:
        fail("%s: srcs has no file whose name ends in _test.py" % name)
    py_test(
        name = name,
        size = size,
        srcs = srcs + [_MAIN],
        main = _MAIN,
        args = ["$(rootpath %s)" % test for test in tests] + args,
        deps = deps + [_RUNNER],
        **kwargs
    )

def mount_test(name, size = "medium", **kwargs):
    """Declares a test that mounts file systems: as root, outside of a sandbox, and only where it is named.

    Args:
        name: name of the target.
        size: of the test, which limits its time.
        **kwargs: attributes of `pytest_test`.
    """
    pytest_test(
        name = name,
        size = size,
        tags = [
            "manual",
            "mount",
            "no-remote",
            "no-sandbox",
        ],
        **kwargs
    )
