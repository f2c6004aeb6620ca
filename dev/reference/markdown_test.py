"""Tests rendering the pages of a reference."""

import pytest

from dev.reference.markdown import Page, Reference
from dev.reference.textproto import parse
from tools.core.errors import UserError

PARTITIONS = r"""
module_docstring: "Images of partitions.\n\nMore about them."
file: "//defs:partitions.bzl"
rule_info {
  rule_name: "fs_image"
  doc_string: "The image of a file system. It is small."
  attribute { name: "size" doc_string: "In bytes." type: STRING default_value: "\"1M\"" }
  attribute { name: "src" doc_string: "The tree." type: LABEL mandatory: true provider_name_group {
    provider_name: "TreeInfo" provider_name: "OtherInfo" } provider_name_group { provider_name: "PartInfo" } }
  attribute { name: "name" doc_string: "A unique name for this target." type: NAME mandatory: true }
  advertised_providers { provider_name: "PartInfo" }
}
provider_info {
  provider_name: "PartInfo"
  doc_string: "A part."
  field_info { name: "parts" doc_string: "List of struct.\n\n    - `offset`: int.\n    - `image`: File." }
}
"""
DISK = r"""
module_docstring: "Disks."
file: "//defs:disk.bzl"
func_info {
  function_name: "disk"
  doc_string: "A disk.\n"
  parameter { name: "name" doc_string: "of the target." mandatory: true }
  parameter { name: "tags" doc_string: "of all targets." default_value: "None" }
  parameter { name: "kwargs" doc_string: "attributes of the rule." }
  return { doc_string: "Nothing." }
}
"""
EXTENSION = r"""
module_docstring: "An extension."
file: "//third_party:extension.bzl"
module_extension_info {
  extension_name: "packages"
  doc_string: "Declares repositories."
  tag_class {
    tag_name: "lock"
    doc_string: "Packages from a manifest."
    attribute { name: "manifest" doc_string: "The manifest." type: LABEL mandatory: true }
  }
}
"""
RULE = r"""
rule_name: "disk"
attribute { name: "tags" doc_string: "Of the rule." type: STRING_LIST default_value: "[]" }
attribute { name: "tar" doc_string: "The archive." type: OUTPUT mandatory: true }
attribute { name: "partitions" doc_string: "What is where." type: LABEL_STRING_DICT default_value: "{}"
  provider_name_group { provider_name: "PartInfo" } }
advertised_providers { provider_name: "DiskInfo" }
"""


@pytest.fixture
def pages():
    texts = {"partitions": PARTITIONS, "disk": DISK, "extension": EXTENSION}
    return {name: Page(name, parse(text, name)) for name, text in texts.items()}


@pytest.fixture
def reference(pages):
    return Reference(list(pages.values()), {"disk": parse(RULE, "rule")})


def test_rule(reference, pages):
    assert """\
## fs_image

```starlark
load("@rules_icos//defs:partitions.bzl", "fs_image")
```

The image of a file system. It is small.

**Attributes**

- `name` (name; required): A unique name for this target.
- `src` (label with `TreeInfo` and `OtherInfo` or [`PartInfo`](partitions.md#partinfo); required): The tree.
- `size` (string; default `"1M"`): In bytes.

Provides [`PartInfo`](partitions.md#partinfo).

## PartInfo
""" in reference.page(pages["partitions"])


def test_paragraphs_of_an_item_belong_to_it(reference, pages):
    assert "\n- `parts`: List of struct.\n\n  - `offset`: int.\n  - `image`: File.\n" in reference.page(
        pages["partitions"]
    )


def test_macro_with_the_attributes_of_its_rule(reference, pages):
    """Without the macro's own parameters and without outputs, which the macro names."""
    assert reference.page(pages["disk"]).endswith(
        """\
**Parameters**

- `name` (required): Of the target.
- `tags` (default `None`): Of all targets.
- `**kwargs`: Attributes of the rule.

Returns: Nothing.

**Attributes of the rule**

- `partitions` (dict of label with [`PartInfo`](partitions.md#partinfo) to string; default `{}`): What is where.

Provides `DiskInfo`.
"""
    )


def test_module_extension(reference, pages):
    page = reference.page(pages["extension"])
    assert 'packages = use_extension("@rules_icos//third_party:extension.bzl", "packages")' in page
    assert (
        "### packages.lock\n\nPackages from a manifest.\n\n**Attributes**\n\n- `manifest` (label; required): The"
        in page
    )


def test_index(reference):
    index = reference.index("A note.\n")
    assert index.startswith("# Reference\n\nA note.\n\n## [`@rules_icos//defs:partitions.bzl`](partitions.md)\n")
    assert "\nImages of partitions.\n\n- [`fs_image`](partitions.md#fs_image): The image of a file system.\n" in index
    assert "More about them" not in index


def test_unsupported_definition_is_an_error():
    with pytest.raises(UserError, match=r"//defs:x\.bzl: defines something other than a rule, .* \(aspect_info\)"):
        Page("x", parse('file: "//defs:x.bzl" aspect_info { aspect_name: "x" }', "x"))
