"""pytest under `bazel test`."""

load("@rules_python//python:py_test.bzl", "py_test")

_MAIN = Label("//dev/pytest:main.py")
_RUNNER = Label("//dev/pytest:runner")

def pytest_test(name, srcs, deps = [], args = [], **kwargs):
    """A test target that runs the tests in Python files with pytest.

    `--test_filter` takes what `pytest -k` takes, or node ids (`path/to/foo_test.py::test_bar`), separated by spaces.
    `shard_count` spreads the tests of all files over shards. `--test_arg` is passed on to pytest. Files for a reader to
    look at afterwards go where the fixture `artifacts` points to. A target whose files hold no test fails, as does a
    filter that selects none of a target's tests.

    Args:
        name: of the target.
        srcs: files with tests, and other files that only they import.
        deps: libraries that they import; pytest itself is added.
        args: further arguments for pytest.
        **kwargs: passed on to `py_test`: data, size, tags, shard_count, env and so on.
    """
    tests = [src for src in srcs if src.endswith("_test.py")]
    if not tests:
        fail("%s: srcs has no file whose name ends in _test.py" % name)
    py_test(
        name = name,
        srcs = srcs + [_MAIN],
        main = _MAIN,
        args = ["$(rootpath %s)" % test for test in tests] + args,
        deps = deps + [_RUNNER],
        **kwargs
    )
