"""What is inside images: listings, reports on what takes the space, special rights and licenses; and budgets.

An example. From [examples/data-disk/BUILD.bazel](../../examples/data-disk/BUILD.bazel):

```starlark
image_report(
    name = "report",
    image = ":disk",
)

image_budget_test(
    name = "budget_test",
    max_size = {
        "data": "128K",
        "data:/accounts": "4K",
        "total": "256K",
    },
    report = ":report.json",
)

# bazel run :data.inspect -- which /accounts/2025/users.json
image_inspector(
    name = "data.inspect",
    image = ":data",
)
```
"""

load("//defs/private:image_inspector.bzl", _image_inspector = "image_inspector")
load("//defs/private:image_report.bzl", _image_budget_test = "image_budget_test", _image_report = "image_report")

image_budget_test = _image_budget_test
image_inspector = _image_inspector

def image_report(name, visibility = None, tags = None, testonly = None, **kwargs):
    """Declares a report on an image: `NAME.html` for people and `NAME.json` for programs.

    Args:
        name: of the target, which has both files.
        visibility: of all targets.
        tags: of all targets.
        testonly: of all targets.
        **kwargs: attributes of the rule `image_report`.
    """
    common = {"tags": tags, "testonly": testonly, "visibility": visibility}
    _image_report(name = name, html = name + ".html", json = name + ".json", **(common | kwargs))
