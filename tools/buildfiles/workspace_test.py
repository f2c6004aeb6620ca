from pathlib import Path

import pytest

from tools.buildfiles.values import DEFAULT_INFO, Depset, Label, Target
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError

RULES = """
Info = provider(fields = ["text"])

def _impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".out")
    args = ctx.actions.args()
    args.add_all(ctx.files.srcs, format_each = "--src=%s")
    args.add("--tag", ctx.attr.tag)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files.srcs,
        mnemonic = "Make",
        outputs = [output],
        progress_message = "Making %{output} of %{label}",
    )
    return [DefaultInfo(files = depset([output])), Info(text = ctx.attr.tag)]

make = rule(
    implementation = _impl,
    attrs = {
        "srcs": attr.label_list(allow_files = True),
        "tag": attr.string(default = "none"),
        "_tool": attr.label(default = ":tool", executable = True, cfg = "exec"),
    },
)

def _named_impl(ctx):
    ctx.actions.write(ctx.outputs.out, ctx.attr.content)
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

named = rule(implementation = _named_impl, attrs = {"content": attr.string(), "out": attr.output(mandatory = True)})

def both(name, **kwargs):
    make(name = name, **kwargs)
    named(name = name + "_named", out = name + ".txt", content = name)
"""
TOOL = """
load("@rules_python//python:py_binary.bzl", "py_binary")
py_binary(name = "tool", srcs = ["tool.py"], deps = ["@pypi//:absl_py"])
"""


class Checkout:
    def __init__(self, root):
        self.root = root
        self.write("rules/rules.bzl", RULES)
        self.write("rules/BUILD.bazel", TOOL)
        self.write("rules/tool.py", "")

    def write(self, path, text=""):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def workspace(self, **options):
        wheels = {"pypi": lambda _workspace, label: Target(label, [])}
        return Workspace(self.root, self.root / "out", repositories=wheels, **options)

    def analyze(self, label, **options):
        workspace = self.workspace(**options)
        return workspace, workspace.analyze(Label.parse(label))


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


LOAD = 'load("//rules:rules.bzl", "both", "make", "named")\n'


def test_a_target_has_an_action_that_makes_its_file(checkout):
    checkout.write(
        "a/BUILD.bazel", LOAD + 'make(name = "x", srcs = ["f", ":g"], tag = "t")\nfilegroup(name = "g", srcs = ["h"])'
    )
    checkout.write("a/f")
    checkout.write("a/h")
    workspace, target = checkout.analyze("//a:x")
    (file,) = target.files()
    action = workspace.actions[file]
    assert file.path == str(checkout.root / "out" / "a" / "x.out")
    assert action.program.module == "rules.tool"
    assert action.arguments[0].words == [f"--src={checkout.root}/a/f", f"--src={checkout.root}/a/h", "--tag", "t"]
    assert [each.short_path for each in action.inputs] == ["a/f", "a/h"]
    assert (action.mnemonic, action.message) == ("Make", "Making a/x.out of //a:x")


def test_macros_and_outputs_are_targets(checkout):
    checkout.write("a/BUILD.bazel", LOAD + 'both(name = "x")\nmake(name = "y", srcs = [":x.txt"])')
    workspace, target = checkout.analyze("//a:y")
    (source,) = workspace.actions[target.files()[0]].inputs
    assert workspace.actions[source].content == b"x"


def test_files_are_found_by_pattern(checkout):
    names = ["a", "d/b", "d/e/c", "d/e/c_test", "d/other/BUILD.bazel", "d/other/z", "star*x"]
    for name in names:
        checkout.write(f"p/{name}")
    checkout.write("p/BUILD.bazel")
    workspace = checkout.workspace()
    found = {}
    for pattern in ("**", "*", "d/**", "d/*", "**/c", "d/**/c*", "d/e/**", "a/**", "**/BUILD.bazel"):
        checkout.write("p/BUILD.bazel", f'filegroup(name = "g", srcs = glob(["{pattern}"], exclude = ["**/*_test"]))')
        target = checkout.workspace().analyze(Label.parse("//p:g"))
        found[pattern] = [Path(file.path).relative_to(checkout.root / "p").as_posix() for file in target.files()]
    assert workspace.root == checkout.root
    assert found == {
        "**": ["BUILD.bazel", "a", "d/b", "d/e/c", "star*x"],
        "*": ["BUILD.bazel", "a", "star*x"],
        "d/**": ["d/b", "d/e/c"],
        "d/*": ["d/b"],
        "**/c": ["d/e/c"],
        "d/**/c*": ["d/e/c"],
        "d/e/**": ["d/e/c"],
        "a/**": [],
        "**/BUILD.bazel": ["BUILD.bazel"],
    }


SETTINGS = """
load("@bazel_skylib//rules:common_settings.bzl", "string_flag")
string_flag(name = "color", build_setting_default = "red", values = ["red", "blue"])
config_setting(name = "blue", flag_values = {":color": "blue"})
label_flag(name = "source", build_setting_default = ":one")
filegroup(name = "one", srcs = ["1"])
filegroup(name = "two", srcs = ["2"])
make(name = "x", srcs = [":source"], tag = select({":blue": "b", "//conditions:default": "d"}))
"""


@pytest.mark.parametrize(
    ("settings", "words"), [({}, ("1", "d")), ({"//a:color": "blue", "//a:source": "//a:two"}, ("2", "b"))]
)
def test_settings_decide(checkout, settings, words):
    checkout.write("a/BUILD.bazel", LOAD + SETTINGS)
    checkout.write("a/1")
    checkout.write("a/2")
    workspace, target = checkout.analyze("//a:x", settings=settings)
    assert workspace.actions[target.files()[0]].arguments[0].words == [
        f"--src={checkout.root}/a/{words[0]}",
        "--tag",
        words[1],
    ]


def test_a_setting_has_known_values(checkout):
    checkout.write("a/BUILD.bazel", LOAD + SETTINGS)
    checkout.write("a/1")
    with pytest.raises(UserError, match="--//a:color: must be one of red, blue, not 'green'"):
        checkout.analyze("//a:x", settings={"//a:color": "green"})


def test_files_for_packages_go_where_rules_pkg_puts_them(checkout):
    checkout.write(
        "a/BUILD.bazel",
        'load("@rules_pkg//pkg:mappings.bzl", "pkg_attributes", "pkg_files", "strip_prefix")\n'
        'load(":show.bzl", "show")\n'
        'pkg_files(name = "f", srcs = ["r/etc/x", "r/y"], strip_prefix = strip_prefix.from_pkg("r"), prefix = "p",\n'
        '          renames = {"r/y": "z"}, attributes = pkg_attributes(mode = "0600", uid = 3))\n'
        'pkg_files(name = "g", srcs = ["r/etc/x"])\n'
        'show(name = "s", srcs = [":f", ":g"])',
    )
    checkout.write(
        "a/show.bzl",
        'load("@rules_pkg//pkg:providers.bzl", "PackageFilesInfo")\n'
        "def _impl(ctx):\n"
        "    infos = [target[PackageFilesInfo] for target in ctx.attr.srcs]\n"
        "    places = [{k: v.basename for k, v in info.dest_src_map.items()} for info in infos]\n"
        "    text = json.encode([[info.attributes, place] for info, place in zip(infos, places)])\n"
        "    output = ctx.actions.declare_file(ctx.label.name)\n"
        "    ctx.actions.write(output, text)\n"
        "    return [DefaultInfo(files = depset([output]))]\n"
        'show = rule(implementation = _impl, attrs = {"srcs": attr.label_list()})\n',
    )
    checkout.write("a/r/etc/x")
    checkout.write("a/r/y")
    workspace, target = checkout.analyze("//a:s")
    assert workspace.actions[target.files()[0]].content == (
        b'[[{"mode":"0600","uid":3},{"p/etc/x":"x","p/z":"y"}],[{"mode":"0644"},{"x":"x"}]]'
    )


def test_declarations_can_be_adjusted(checkout):
    checkout.write("a/BUILD.bazel", LOAD + 'make(name = "x", tag = "t")')

    def adjust(declaration):
        if "tag" in declaration.attributes:
            declaration.attributes["tag"] = "other"

    workspace, target = checkout.analyze("//a:x", adjust=adjust)
    assert workspace.actions[target.files()[0]].arguments[0].words == ["--tag", "other"]


def test_validations_are_noted(checkout):
    checkout.write(
        "a/v.bzl",
        "def _impl(ctx):\n"
        '    file = ctx.actions.declare_file("checked")\n'
        '    ctx.actions.write(file, "")\n'
        "    return [OutputGroupInfo(_validation = depset([file]))]\n"
        "v = rule(implementation = _impl)\n",
    )
    checkout.write("a/BUILD.bazel", 'load(":v.bzl", "v")\nv(name = "v")\nfilegroup(name = "g", srcs = [":v"])')
    workspace, _ = checkout.analyze("//a:g")
    assert [file.short_path for file in workspace.validations] == ["a/checked"]


def test_another_configuration_is_only_declared(checkout):
    checkout.write(
        "a/t.bzl",
        "other = transition(implementation = lambda _settings, _attr: {}, inputs = [], outputs = [])\n"
        't = rule(implementation = lambda ctx: [], attrs = {"src": attr.label(cfg = other)})\n',
    )
    checkout.write("a/BUILD.bazel", 'load(":t.bzl", "t")\nt(name = "t", src = "f")\nfilegroup(name = "g", srcs = [])')
    checkout.write("a/f")
    checkout.analyze("//a:g")
    with pytest.raises(UserError, match=r"^//a:t: src: is built in another configuration, which only Bazel can do$"):
        checkout.analyze("//a:t")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ('make(name = "x", srcs = ["missing"])', "//a:missing: is neither declared in a/BUILD.bazel nor a file"),
        ('make(name = "x", src = [])', "x: its rule has no attribute src"),
        ('named(name = "x")', "//a:x: attribute out is missing"),
        ('make(name = "x", srcs = [":x"])', "//a:x: depends on itself"),
        ('make(name = "x")\nmake(name = "x")', "//a:x: is declared twice"),
        ('make(name = "x", srcs = ["@unknown//:y"])', "there is no repository unknown here"),
        ('genrule(name = "x", cmd = "y")', "//a:x: is of a kind that only Bazel can build"),
        ('load("@unknown//:x.bzl", "x")', "@unknown//:x.bzl: is a file that is not known here"),
        ('load("@rules_pkg//pkg:mappings.bzl", "unknown")', "has no unknown that is known here"),
        ('load(":missing.bzl", "x")', r"missing\.bzl: cannot be read: No such file or directory"),
        ('fail("no", "reason")', "^no reason$"),
        ("open('x')", r"a/BUILD\.bazel: cannot be built without Bazel: NameError: name 'open' is not defined"),
        ("import os", r"a/BUILD\.bazel: cannot be built without Bazel: ImportError"),
        ("x = 1 +", r"a/BUILD\.bazel:2: is more Starlark than Python knows"),
        ('make(name = "x", tag = [] + 1)', "cannot be built without Bazel: TypeError"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(checkout, build, message):
    checkout.write("a/BUILD.bazel", LOAD + build)
    with pytest.raises(UserError, match=message) as caught:
        checkout.analyze("//a:x")
    assert "\n" not in str(caught.value)


def test_other_repositories_are_asked_for_their_targets(checkout):
    checkout.write("a/BUILD.bazel", 'filegroup(name = "g", srcs = ["@other//b:c"])')
    file = checkout.workspace().analyze(Label.parse("//rules:tool.py")).files()[0]
    asked = []

    def other(_workspace, label):
        asked.append(str(label))
        return Target(label, [DEFAULT_INFO(files=Depset([file]))])

    workspace = Workspace(checkout.root, checkout.root / "out", repositories={"other": other})
    assert workspace.analyze(Label.parse("//a:g")).files() == [file]
    assert asked == ["@other//b:c"]
