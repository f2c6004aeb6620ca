import hashlib
import sys
from pathlib import Path

import pytest

from tools.buildfiles.execution import Executor
from tools.buildfiles.values import Action, File, Label
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError
from tools.fetch.download import Policy
from tools.testing.faulty_server import serving, status

POLICY = Policy(attempts=2, timeout=10, pause=0)
RULES = """
def _impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    if ctx.attr.by_file:
        args.use_param_file("--params=%s", use_always = True)
        args.set_param_file_format("multiline")
    args.add(ctx.attr.word)
    args.add(output)
    args.add_all(ctx.files.srcs)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._tool,
        inputs = ctx.files.srcs,
        mnemonic = ctx.attr.mnemonic,
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

make = rule(
    implementation = _impl,
    attrs = {
        "by_file": attr.bool(),
        "mnemonic": attr.string(default = "Make"),
        "srcs": attr.label_list(allow_files = True),
        "word": attr.string(default = "w"),
        "_tool": attr.label(default = "//rules:tool", executable = True, cfg = "exec"),
    },
)

def _link_impl(ctx):
    output = ctx.actions.declare_file("link")
    ctx.actions.symlink(output = output, target_file = ctx.files.srcs[0])
    return [DefaultInfo(files = depset([output]))]

link = rule(implementation = _link_impl, attrs = {"srcs": attr.label_list(allow_files = True)})
"""
BUILD = """
load("@rules_python//python:py_binary.bzl", "py_binary")
py_binary(name = "tool", srcs = ["tool.py"])
"""
# Appends what it is called with to a log, so that the test sees how often it ran.
TOOL = """
import os, sys
from pathlib import Path
words = sys.argv[1:]
if words[0].startswith("--params="):
    words = Path(words[0].removeprefix("--params=")).read_text().splitlines()
word, output, *sources = words
with open("{log}", "a") as log:
    log.write(os.path.basename(output) + "\\n")
if word == "fail":
    sys.exit("error: as asked")
content = "".join(Path(source).read_text() for source in sources)
Path(output).write_text(word + "(" + content + ")" + ",".join(sorted(set(os.environ) - {{"LC_CTYPE"}})))
"""
ENVIRONMENT = "LANG,PATH,PYTHONPATH,PYTHONPYCACHEPREFIX"


class NoWheels:
    def choose(self, names):
        return dict.fromkeys(names, "")

    def folders(self, _names):
        return [path for path in sys.path if path]


class Checkout:
    def __init__(self, root):
        self.root = root / "checkout"
        self.cache = root / "cache"
        self.log = root / "log"
        self.output = 0
        self.write("rules/rules.bzl", RULES)
        self.write("rules/BUILD.bazel", BUILD)
        self.write("rules/tool.py", TOOL.format(log=self.log))

    def write(self, path, text=""):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def declare(self, *lines):
        self.write("a/BUILD.bazel", "\n".join(['load("//rules:rules.bzl", "link", "make")', *lines]))

    def executor(self):
        self.output += 1
        output = self.cache.parent / f"out{self.output}"
        output.mkdir()
        return Executor(Workspace(self.root, output), NoWheels(), self.cache, POLICY)

    def make(self, label):
        executor = self.executor()
        (file,) = executor.workspace.analyze(Label.parse(label)).files()
        executor.make([file])
        return Path(file.path).read_text()

    def ran(self):
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("TMPDIR", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Checkout(tmp_path)


def test_what_a_file_is_made_of_is_made_before_it_and_once(checkout):
    checkout.write("a/s", "s")
    checkout.declare(
        'make(name = "top", srcs = [":left", ":right"], word = "top", by_file = True)',
        'make(name = "left", srcs = [":base"], word = "left")',
        'make(name = "right", srcs = [":base", ":link"], word = "right")',
        'make(name = "base", srcs = ["s"], word = "base")',
        'link(name = "link", srcs = ["s"])',
        'make(name = "unused")',
    )
    base = f"base(s){ENVIRONMENT}"
    assert checkout.make("//a:top") == f"top(left({base}){ENVIRONMENT}right({base}s){ENVIRONMENT}){ENVIRONMENT}"
    ran = checkout.ran()
    assert ran[0] == "base"
    assert sorted(ran) == ["base", "left", "right", "top"]
    assert not list(checkout.root.rglob("__pycache__"))


def test_what_changes_with_packages_only_is_kept_from_build_to_build(checkout):
    checkout.write("a/s", "s")
    checkout.declare('make(name = "x", srcs = [":b"])', 'make(name = "b", srcs = ["s"], mnemonic = "DebianBaseRoot")')
    first = checkout.make("//a:x")
    assert checkout.make("//a:x") == first
    assert checkout.ran() == ["b", "x", "x"]
    checkout.write("a/s", "other")
    assert "other" in checkout.make("//a:x")
    assert checkout.ran() == ["b", "x"]
    checkout.write("rules/tool.py", (checkout.root / "rules" / "tool.py").read_text() + "# changed\n")
    checkout.make("//a:x")
    assert checkout.ran() == ["b", "x"]
    checkout.declare(
        'make(name = "x", srcs = [":b"])',
        'make(name = "b", srcs = ["s"], mnemonic = "DebianBaseRoot", word = "changed")',
    )
    checkout.make("//a:x")
    assert checkout.ran() == ["b", "x"]


def test_a_tool_that_fails_ends_the_build(checkout, capfd):
    checkout.declare('make(name = "x", srcs = [":b"])', 'make(name = "b", word = "fail", mnemonic = "DebianData")')
    with pytest.raises(UserError, match=r"^//a:b: DebianData failed; the reason is above$"):
        checkout.make("//a:x")
    assert capfd.readouterr().err == "error: as asked\n"
    assert checkout.ran() == ["b"]
    with pytest.raises(UserError):
        checkout.make("//a:x")
    assert checkout.ran() == ["b"]


def add_download(executor, server, name, content):
    file = File(str(executor.cache / "packages" / name), Label("packages", "", name), name)
    urls = (f"{server.url}/missing/{name}", f"{server.url}/{name}")
    sha256 = hashlib.sha256(content).hexdigest()
    action = Action(label=file.owner, mnemonic="Download", message="", outputs=(file,), urls=urls, sha256=sha256)
    executor.workspace.add_action(action)
    return file


def test_packages_are_downloaded_once(checkout, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files.update({f"/{number}": b"%d" % number for number in range(20)})
        for _ in range(2):
            executor = checkout.executor()
            files = [add_download(executor, server, str(number), b"%d" % number) for number in range(20)]
            executor.make(files)
            assert [Path(file.path).read_bytes() for file in files] == [b"%d" % number for number in range(20)]
        assert len(server.requests) == 40


def test_a_package_that_cannot_be_had_ends_the_build(checkout, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files["/a"] = b"a"
        server.faults["/a"] = [status(500)] * 2
        executor = checkout.executor()
        with pytest.raises(UserError, match=r"/missing/a: is not there.*; .*/a: the server answers 500"):
            executor.make([add_download(executor, server, "a", b"a")])
