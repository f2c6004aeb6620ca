"""Builds targets of this repository without Bazel, from the same BUILD and .bzl files.

Starlark is written so that Python runs it. What Bazel adds to the language is here as far as this repository uses it
on the way to its images: packages, rules, providers, actions, flags. So nothing is described twice, and what both
build is the same. Something that is not here is an error that says so.
"""
