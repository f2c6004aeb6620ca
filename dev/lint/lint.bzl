"""The macro for lint tests."""

load("//tools:python.bzl", "py_test")

def lint_test(name, kind, reads = [], programs = {}, deps = [], size = "small", **kwargs):
    """Declares a test that a check finds no fault in the checkout.

    Args:
        name: name of the target, and of the check in checks.py.
        kind: kind of the files that it checks.
        reads: kinds of other files that it reads.
        programs: labels of programs by name.
        deps: Python libraries with programs that are modules.
        size: of the test.
        **kwargs: passed on to `py_test`.
    """
    py_test(
        name = name,
        size = size,
        srcs = ["lint.py"],
        main = "lint.py",
        args = [
            "--index=runfile:$(rootpath @checkout//:index.json)",
            "--check=" + name,
        ] + ["--program=%s=runfile:$(rootpath %s)" % item for item in programs.items()],
        data = [
            "@checkout//:configuration",
            "@checkout//:index.json",
            "@checkout//:" + kind,
        ] + ["@checkout//:" + other for other in reads] + programs.values(),
        deps = [":linting"] + deps,
        **kwargs
    )
