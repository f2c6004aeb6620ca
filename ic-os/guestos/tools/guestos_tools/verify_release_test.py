"""Tests the comparison of a build with what was published; a script stands in for Bazel."""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile

import pytest

from guestos_tools.verify_release import Arguments, main
from tools.core.errors import CheckError, UserError
from tools.testing.faulty_server import serving
from tools.testing.oracles import oracle

GIT = """\
#!/bin/sh
PATH=${PATH#*:}
git "$@" || exit
case "$*" in
*"worktree add"*)
    %s
    echo "fatal: no space" >&2
    exit 128
    ;;
esac
"""
"""Fails after what git has done of adding a worktree, which it locks meanwhile."""

BAZEL = """\
#!/bin/sh
echo "$PWD $*" >>"$CALLS"
case $1 in
run)
    [ "$(cat source)" = source ] || exit 1
    for word; do
        case $word in
        --to=*) to=${word#--to=} ;;
        --revision=*) mkdir -p "$to" && cp -r "$RESULT" "$to/${word#--revision=}" ;;
        esac
    done
    ;;
esac
"""


def image(text):
    """Returns a compressed archive with one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("disk.img")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return gzip.compress(archive.getvalue(), mtime=0)


FILES = {
    "release": {"replica.gz": gzip.compress(b"replica", mtime=0)},
    "guest-os/disk-img": {"disk-img.tar.gz": image(b"the disk")},
}


def with_sums(files):
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return files | {"SHA256SUMS": sums.encode()}


class Site:
    """A checkout, a server, and a build that returns FILES."""

    def __init__(self, folder, server, monkeypatch):
        self.folder = folder
        self.server = server
        self.checkout = folder / "checkout"
        self.calls = folder / "calls"
        git = [oracle("git"), "-c", "user.name=a", "-c", "user.email=a@example", "-C", self.checkout]
        self.checkout.mkdir()
        (self.checkout / "source").write_text("source")
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
            subprocess.run([*git, *command], check=True)
        self.git = git
        self.commit = self.ask("rev-parse", "HEAD").strip()
        (self.checkout / "source").write_text("changed, and not committed")
        for name, files in FILES.items():
            (folder / "result" / name).mkdir(parents=True)
            for file, content in with_sums(files).items():
                (folder / "result" / name / file).write_bytes(content)
        (folder / "bazel").write_text(BAZEL)
        (folder / "bazel").chmod(0o755)
        values = {"BUILD_WORKSPACE_DIRECTORY": self.checkout, "CALLS": self.calls, "RESULT": folder / "result"}
        for name, value in (values | {"no_proxy": "127.0.0.1"}).items():
            monkeypatch.setenv(name, str(value))

    def ask(self, *words):
        return subprocess.run([*self.git, *words], capture_output=True, text=True, check=True).stdout

    def publish(self, files, prefix=""):
        for name, contents in files.items():
            for file, content in with_sums(contents).items():
                self.server.files[f"{prefix}/{self.commit}/{name}/{file}"] = content

    def verify(self, **options):
        output = str(self.folder / "output")
        values = {"url": self.server.url, "bazel": str(self.folder / "bazel"), "output": output, "insecure": True}
        main(Arguments(**(values | options)))


@pytest.fixture
def site(tmp_path, monkeypatch):
    with serving() as server:
        site = Site(tmp_path, server, monkeypatch)
        yield site
        assert site.ask("worktree", "list").count("\n") == 1


def test_the_same(site, capfd):
    site.publish(FILES)
    site.verify(bazel_option=("--//ic-os/guestos:version=1",))
    said = capfd.readouterr()
    assert said.out == "release/replica.gz: same\nguest-os/disk-img/disk-img.tar.gz: same\n"
    assert said.err.endswith(f"{site.commit}: all 2 published files are what was built\n")
    built, cleaned = site.calls.read_text().splitlines()
    assert " run --//ic-os/guestos:version=1 //ic-os/guestos:publish -- --to=/" in built
    assert built.endswith(f" --revision={site.commit}")
    assert cleaned.endswith(" clean --expunge")
    assert not built.startswith(str(site.checkout))
    assert not (site.folder / "output").exists()


def test_the_other_layout(site, capfd):
    site.publish({"binaries/x86_64-linux": FILES["release"], "guest-os/disk-img": FILES["guest-os/disk-img"]})
    site.verify()
    assert capfd.readouterr().out == "release/replica.gz: same\nguest-os/disk-img/disk-img.tar.gz: same\n"


def test_what_was_built_and_not_published_is_named(site, capfd):
    site.publish({"release": FILES["release"]})
    with pytest.raises(CheckError, match=f"^{site.commit}: 1 built files are not published; was the version"):
        site.verify()
    assert capfd.readouterr().out == "release/replica.gz: same\nguest-os/disk-img/disk-img.tar.gz: not published\n"
    site.publish({"release": {"other.gz": b""}})
    with pytest.raises(CheckError, match="1 of 1 published files are not what was built, and 2 built files are not "):
        site.verify()
    said = capfd.readouterr().out
    assert said.startswith("release/other.gz: not built\nrelease/replica.gz: not published\n")


def test_what_was_released_is_compared_and_not_another_build(site, capfd):
    site.publish({"release": {"replica.gz": b"other"}, "guest-os/disk-img": FILES["guest-os/disk-img"]}, "/ic")
    site.publish({"release": FILES["release"]}, "/blessed/ic")
    site.verify(url=f"{site.server.url}/ic")
    assert capfd.readouterr().out == "release/replica.gz: same\nguest-os/disk-img/disk-img.tar.gz: same\n"


def test_what_differs_is_named_and_kept(site, capfd):
    other = {"release": {"replica.gz": gzip.compress(b"other", mtime=0), "orchestrator.gz": b""}}
    site.publish(FILES | other | {"guest-os/disk-img": {"disk-img.tar.gz": image(b"the dist")}})
    with pytest.raises(CheckError, match=f"{site.commit}: 3 of 3 published files are not what was built; was the"):
        site.verify()
    said = capfd.readouterr().out
    assert "release/replica.gz: differs: published " in said
    assert "release/orchestrator.gz: not built\n" in said
    assert "guest-os/disk-img/disk-img.tar.gz: differs: published " in said
    assert "-the dist\n" in said
    output = site.folder / "output"
    assert (output / "published/release/replica").read_bytes() == b"other"
    assert (output / "built/release/replica").read_bytes() == b"replica"
    assert b"the dist" in (output / "published/guest-os/disk-img/disk-img.tar").read_bytes()
    assert b"the disk" in (output / "built/guest-os/disk-img/disk-img.tar").read_bytes()


def test_a_damaged_file_is_no_end(site, capfd):
    damaged = {"replica.gz": b"no gzip", "\x1b[31m.gz": b""}
    site.publish(FILES | {"release": damaged})
    site.server.files[f"/{site.commit}/guest-os/disk-img/SHA256SUMS"] = f"{'0' * 64}  disk-img.tar.gz\n".encode()
    with pytest.raises(CheckError, match="3 of 3 published files are not what was built"):
        site.verify()
    said = capfd.readouterr().out
    assert "release/replica.gz: is not gzip, xz or zstd\n" in said
    assert "release/\\x1b[31m.gz: not built\n" in said
    assert "they cannot be compared further: http://" in said


def test_compression_alone(site, capfd):
    packed = gzip.compress(gzip.decompress(FILES["guest-os/disk-img"]["disk-img.tar.gz"]), 1, mtime=1)
    site.publish(FILES | {"guest-os/disk-img": {"disk-img.tar.gz": packed}})
    with pytest.raises(CheckError, match="1 of 2 published files are not what was built; was"):
        site.verify()
    assert capfd.readouterr().out.endswith("the images are the same, only their compression differs\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no checksums of binaries or images, so it is not published there"),
        ({"revision": "none"}, "--revision: 'none' is no revision of the checkout "),
        ({"insecure": False}, "is not an https:// URL, and .*; --insecure permits it$"),
    ],
)
def test_what_cannot_be_compared_is_not_built(site, options, message):
    with pytest.raises(UserError, match=message):
        site.verify(**options)
    assert not site.calls.exists()


def test_a_build_that_fails(site):
    site.publish(FILES)
    (site.folder / "bazel").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UserError, match=f"the build of {site.commit} failed, see the lines above"):
        site.verify()
    with pytest.raises(UserError, match="--bazel: /none/bazel: cannot be run: No such file or directory"):
        site.verify(bazel="/none/bazel")


@pytest.mark.parametrize("left", ['git -C "$2" worktree lock "$7"', 'rm "$7/.git"', 'rm -r "$7"'])
def test_a_checkout_that_fails_leaves_no_worktree(site, monkeypatch, left):
    site.publish(FILES)
    programs = site.folder / "programs"
    programs.mkdir()
    (programs / "git").write_text(GIT % left)
    (programs / "git").chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        message = f"^{site.checkout}: {site.commit} cannot be checked out: fatal: no space$"
        with pytest.raises(UserError, match=message):
            site.verify()
    assert not site.calls.exists()
