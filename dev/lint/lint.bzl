"""Targets of the lint."""

load("@rules_python//python:py_test.bzl", "py_test")

def lint_test(name, check, kind, reads = [], programs = {}, deps = [], **kwargs):
    """A test that one check finds nothing in the checkout.

    Args:
        name: of the target.
        check: its name in checks.py.
        kind: of the files that it checks.
        reads: kinds of other files that it reads.
        programs: label of each program by its name.
        deps: Python libraries of programs that are modules.
        **kwargs: passed on to `py_test`.
    """
    py_test(
        name = name,
        srcs = ["lint.py"],
        main = "lint.py",
        args = [
            "--index=runfile:$(rootpath @checkout//:index.json)",
            "--check=" + check,
        ] + ["--program=%s=runfile:$(rootpath %s)" % item for item in programs.items()],
        data = [
            "@checkout//:configuration",
            "@checkout//:index.json",
            "@checkout//:" + kind,
        ] + ["@checkout//:" + other for other in reads] + programs.values(),
        deps = [":linting"] + deps,
        **kwargs
    )
