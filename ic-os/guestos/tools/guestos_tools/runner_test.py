import sys
from pathlib import Path

import pytest

from guestos_tools.plan import Action, Plan
from guestos_tools.runner import Runner
from tools.core.errors import UserError

# Appends what it is called with to a log, so that the test sees how often it ran.
COMMAND = """
import json, os, sys
from pathlib import Path
from rooms.library import joined
words = sys.argv[1:]
if words[0].startswith("--spec="):
    spec = json.loads(Path(words[0].removeprefix("--spec=")).read_text())
    words = [spec["word"], spec["output"], *spec["sources"]]
word, output, *sources = words
with open("{log}", "a") as log:
    log.write(os.path.basename(output) + "\\n")
if word == "fail":
    sys.exit("error: as asked")
Path(output).write_text(word + joined(sources) + ",".join(sorted(set(os.environ) - {{"LC_CTYPE"}})))
"""
LIBRARY = """
from pathlib import Path
def joined(sources):
    return "(" + "".join(Path(source).read_text() for source in sources) + ")"
"""
ENVIRONMENT = "LANG,PATH,PYTHONPATH,PYTHONPYCACHEPREFIX"


class FakeWheels:
    def choose(self, names):
        return dict.fromkeys(names, "")

    def folders(self, _names):
        return [path for path in sys.path if path]


class FakePackages:
    """A set `base`, whose only package has the SHA-256 that a test wants."""

    def __init__(self, folder):
        self.folder = folder
        self.sha256 = "0"
        self.downloaded = []

    def sets(self):
        return ["base"]

    def provided(self, _name):
        return ["p"]

    def files(self, _name):
        return [str(self.folder / self.sha256 / "a.deb")]

    def download(self, names, _say):
        self.downloaded.append(list(names))
        for name in names:
            for path in map(Path, self.files(name)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"deb{self.sha256}")


class Checkout:
    def __init__(self, root):
        self.root = root / "checkout"
        self.cache = root / "cache"
        self.log = root / "log"
        self.packages = FakePackages(self.cache / "packages")
        self.placeholders = {"version": ["1.2"]}
        self.said = []
        self.outputs = 0
        self.write("rooms/__init__.py")
        self.write("rooms/command.py", COMMAND.format(log=self.log))
        self.write("rooms/library.py", LIBRARY)

    def write(self, path, text=""):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def runner(self, *actions):
        self.outputs += 1
        output = self.cache.parent / f"out{self.outputs}"
        output.mkdir()
        return Runner(
            Plan({}, ["w"], {"program": "rooms.command"}, actions),
            "debian",
            self.placeholders,
            self.packages,
            FakeWheels(),
            workspace=self.root,
            output=output,
            cache=self.cache,
            say=self.said.append,
        )

    def make(self, name, *actions):
        return self.runner(*actions).make(name).read_text()

    def ran(self):
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


def command(output, *sources, word=None, **more):
    words = [word or output, f"${{{output}}}", *(f"${{{source}}}" for source in sources)]
    return Action(mnemonic="Make", module="rooms.command", outputs=[output], arguments=words, **more)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("TMPDIR", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Checkout(tmp_path)


def test_what_a_file_is_made_of_is_made_before_it_and_once(checkout):
    checkout.write("s", "s")
    spec = {"word": "right", "output": "${a/right}", "sources": ["${base}", "${a/version}"]}
    actions = [
        command("top", "left", "a/right"),
        Action(mnemonic="Make", module="rooms.command", outputs=["a/right"], spec=spec),
        command("left", "base"),
        command("base", "s"),
        Action(mnemonic="FileWrite", outputs=["a/version"], content="${version}\n"),
        command("unused", "s"),
    ]
    base = f"base(s){ENVIRONMENT}"
    expected = f"top(left({base}){ENVIRONMENT}right({base}1.2\n){ENVIRONMENT}){ENVIRONMENT}"
    runner = checkout.runner(*actions)
    assert runner.make("top").read_text() == expected
    runner.make("left")
    ran = checkout.ran()
    assert ran[0] == "base"
    assert sorted(ran) == ["base", "left", "right", "top"]
    assert [line.split("s  ")[1] for line in checkout.said] == [
        "Make base",
        "Make left",
        "Make a/right",
        "Make top",
    ]
    assert checkout.packages.downloaded == [[], []]
    assert not list(checkout.root.rglob("__pycache__"))


def test_what_is_made_from_packages_alone_is_kept_from_build_to_build(checkout):
    def make(**more):
        base = command("b", "packages:base", "provided:base", **more)
        return checkout.make("x", command("x", "b"), base)

    # The command would read the virtual package as a file.
    checkout.write("rooms/library.py", LIBRARY.replace("in sources)", 'in sources if source != "p")'))
    first = make()
    assert "deb0" in first
    assert make() == first
    assert checkout.ran() == ["b", "x", "x"]
    checkout.packages.sha256 = "1"
    assert "deb1" in make()
    assert checkout.ran() == ["b", "x"]
    checkout.write("rooms/library.py", (checkout.root / "rooms" / "library.py").read_text() + "# changed\n")
    make()
    assert checkout.ran() == ["b", "x"]
    make(word="changed")
    assert checkout.ran() == ["b", "x"]
    checkout.write("rooms/other.py", "# imported by nothing\n")
    make()
    assert checkout.ran() == ["x"]
    assert checkout.packages.downloaded == [["base"]] * 6


def test_what_needs_a_key_is_left_out_without_one(checkout):
    checkout.write("s", "s")
    checkout.write("key.pem", "key")
    image = {"word": "image", "output": "${image}", "sources": ["${s}", "${sig}"]}
    actions = [
        command("sig", "key:*", only_with="key:*"),
        Action(mnemonic="Make", module="rooms.command", outputs=["image"], spec=image),
    ]
    assert checkout.make("image", *actions).startswith("image(s)")
    assert checkout.ran() == ["image"]
    checkout.placeholders["key:*"] = [str(checkout.root / "key.pem")]
    assert checkout.make("image", *actions).startswith("image(ssig(key)")
    assert checkout.ran() == ["sig", "image"]


def test_a_command_that_fails_ends_the_build(checkout, capfd):
    actions = [command("x", "b"), command("b", "packages:base", word="fail")]
    for _ in range(2):
        with pytest.raises(UserError, match=r"^b: Make failed; the reason is above$"):
            checkout.make("x", *actions)
        assert capfd.readouterr().err == "error: as asked\n"
        assert checkout.ran() == ["b"]


def test_programs_are_run(checkout, tmp_path, capfd):
    runner = checkout.runner()
    runner.run_program("program", "word", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == f"word(){ENVIRONMENT}"
    with pytest.raises(UserError, match=r"^program failed; the reason is above$"):
        runner.run_program("program", "fail", str(tmp_path / "file"))
    assert capfd.readouterr().err == "error: as asked\n"
