"""Tests of images: their content, their file systems, and their reproducibility."""

load(
    "//defs/private:image_tests.bzl",
    _filesystem_check_test = "filesystem_check_test",
    _image_structure_test = "image_structure_test",
)
load("//defs/private:reproducible_test.bzl", _reproducible_test = "reproducible_test")

filesystem_check_test = _filesystem_check_test
image_structure_test = _image_structure_test
reproducible_test = _reproducible_test
