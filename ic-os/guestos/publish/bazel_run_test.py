"""What `bazel run //ic-os/guestos:publish` and `verify-release` do with the caller's folder, and with mistakes.

The programs are started as Bazel starts them, with small files in place of executables and images.
"""

import functools
import os
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from bazel_run import bazel_run

from tools.testing.oracles import ask, oracle

if "PUBLISH" not in os.environ:
    pytest.skip("needs programs: bazel test //ic-os/guestos/publish:bazel_run_test", allow_module_level=True)

BAZEL = """\
#!/bin/sh
[ "$1" = run ] || exit 0
for word; do
    case $word in
    --to=*) to=${word#--to=} ;;
    --revision=*) mkdir -p "$to" && cp -r "$RESULT" "$to/${word#--revision=}" ;;
    esac
done
"""
PUBLISHED = {
    "guest-os/disk-img-dev/disk-img.tar.zst": b"disk of dev\n",
    "guest-os/disk-img/disk-img.tar.gz": b"disk\n",
}


class Site:
    """A checkout with a folder that the caller is in."""

    def __init__(self, folder):
        self.checkout = folder / "checkout"
        self.folder = self.checkout / "caller"
        self.folder.mkdir(parents=True)
        self.git("init", "-q")
        (self.checkout / ".gitignore").write_text("/caller/*\n")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "a")
        self.commit = self.git("rev-parse", "HEAD").strip()

    def git(self, *words):
        command = [oracle("git"), "-c", "user.name=a", "-c", "user.email=a@example", "-C", self.checkout, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def run(self, target, *words, **environment):
        values = {"no_proxy": "127.0.0.1"} | environment
        return bazel_run(target, *words, folder=self.folder, workspace=self.checkout, environment=values)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def published(site):
    """The folder of the revision."""
    done = site.run("PUBLISH", "--to=ic")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return site.folder / "ic" / site.commit


@pytest.fixture
def url(site):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=site.folder / "ic")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_publish_takes_paths_from_the_folder_of_the_caller(site, published):
    assert {name: (published / name).read_bytes() for name in PUBLISHED} == PUBLISHED
    assert sorted(os.listdir(published / "release")) == ["SHA256SUMS", "orchestrator.gz", "replica.gz"]
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", site.folder / "key.pem")
    done = site.run("PUBLISH", "--to=ic", "--sums_key=key.pem")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"ic/{site.commit}: is published\n")
    assert (published / "release" / "SHA256SUMS.sig").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "to: is missing"),
        (["--to=ftp://host/ic"], "--to: 'ftp://host/ic' is no folder"),
        (["--to=http://host/ic"], "--to: 'http://host/ic' is not a URL with https://; --insecure permits it"),
        (["--to=https://ann:secret@127.0.0.1:1/ic?a"], "--to: 'https://127.0.0.1:1/ic?a' must not have ? or #"),
        (["--to=ic", "--sums_key=none.pem"], "none.pem: "),
        (["--to=ic", "--revision=main"], "--revision: 'main' is not a commit id"),
        (["--to=.gitkeep/ic"], "--to: .gitkeep/ic: cannot be used as a folder: "),
        (["--too=ic"], "Unknown command line flag 'too'"),
    ],
)
def test_publish_tells_a_mistake_in_one_line(site, words, message):
    (site.folder / ".gitkeep").write_bytes(b"")
    check_error(site.run("PUBLISH", *words), message)
    assert not list(site.folder.glob("ic/*/*/SHA256SUMS"))


def check_error(done, message):
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_publish_takes_a_commit_only(site):
    (site.checkout / "new").write_bytes(b"")
    check_error(
        site.run("PUBLISH", "--to=ic"),
        f"has 1 files that differ from commit {site.commit}, such as new; commit them first",
    )


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("PUBLISH", ["--to", "--revision", "--sums_key", "--replace", "--insecure"]),
        ("VERIFY_RELEASE", ["--revision", "--url", "--key", "--output", "--bazel_option", "--insecure"]),
    ],
)
def test_help(site, target, flags):
    done = site.run(target, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [flag for flag in flags if flag not in done.stdout] == []


@pytest.fixture
def verify(site, published, url):
    """Runs verify-release, with a script for Bazel that builds what is published at that moment."""
    bazel = site.folder / "bin" / "bazel"
    bazel.parent.mkdir()
    bazel.write_text(BAZEL)
    bazel.chmod(0o755)
    result = site.checkout.parent / "result"
    subprocess.run(["cp", "-r", published, result], check=True)

    def run(*words):
        return site.run("VERIFY_RELEASE", f"--url={url}", "--insecure", *words, RESULT=str(result))

    return run


def test_verify_release_takes_paths_from_the_folder_of_the_caller(site, published, verify):
    done = verify("--bazel=bin/bazel")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"{site.commit}: all 4 published files are what was built\n")
    assert done.stdout.count(": same\n") == 4
    (published / "release" / "replica.gz").write_bytes(b"other")
    sums = ask("sh", "-c", 'cd "$0" && sha256sum orchestrator.gz replica.gz', published / "release")
    (published / "release" / "SHA256SUMS").write_text(sums)
    done = verify("--bazel=bin/bazel")
    assert done.returncode == 1
    assert "release/replica.gz: differs: published " in done.stdout
    assert done.stderr.endswith("for the published build?\n")
    assert done.stderr.count("error: ") == 1
    assert (site.folder / "verify-release" / "published" / "release" / "replica.gz").read_bytes() == b"other"
    assert site.git("worktree", "list").count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bazel=bin/none"], "/caller/bin/none: cannot be run: No such file or directory"),
        (["--revision=none"], "--revision: 'none' is no revision of the checkout "),
        (["--key=none.pem"], "SHA256SUMS.sig is missing"),
        (["--noinsecure"], "is not an https:// URL"),
        (["more"], "'more': is one argument too many"),
    ],
)
def test_verify_release_tells_a_mistake_in_one_line(verify, words, message):
    check_error(verify(*words), message)
