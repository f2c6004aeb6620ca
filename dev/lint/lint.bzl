"""The macro for lint tests."""

load("@rules_python//python:py_test.bzl", "py_test")

def lint_test(name, check, kind, programs = {}, deps = [], **kwargs):
    """Declares a test that a check finds no fault in the checkout.

    Args:
        name: name of the target.
        check: name of the check in checks.py.
        kind: kind of the files that it reads.
        programs: labels of programs by name.
        deps: Python libraries with programs that are modules.
        **kwargs: passed on to `py_test`.
    """
    py_test(
        name = name,
        srcs = ["lint.py"],
        main = "lint.py",
        args = [
            "--index=$(rootpath @checkout//:index.json)",
            "--check=" + check,
        ] + ["--program=%s=$(rootpath %s)" % item for item in programs.items()],
        data = [
            "@checkout//:configuration",
            "@checkout//:index.json",
            "@checkout//:" + kind,
        ] + programs.values(),
        deps = [":linting"] + deps,
        **kwargs
    )
