"""Tests that what is published is what get-artifacts.sh gets, by way of a folder, of WebDAV and of S3."""

import contextlib
import functools
import gzip
import hashlib
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from guestos_tools.artifacts import Request, get, parse_sums
from guestos_tools.artifacts_checkout import ArtifactsCheckout, files_of
from guestos_tools.checksums import write_sums
from guestos_tools.download import Policy
from guestos_tools.publish import Arguments, Publication, exchange, main, revision_of
from guestos_tools.stores import open_store
from tools.core.errors import CheckError, UserError
from tools.testing import storage_servers
from tools.testing.oracles import ask, oracle

REVISION = "0123456789abcdef0123456789abcdef01234567"
SECONDS = 60
LARGE = os.urandom(1 << 20) * 12
"""More than the size from which files are uploaded to S3 in parts."""

MEASURED = """\
import re, sys
from guestos_tools.publish import Arguments, main

def peak():
    with open("/proc/self/status") as file:
        return re.search("VmHWM:\\\\s+([0-9]+) kB", file.read())[1]

before = peak()
main(Arguments(to=sys.argv[1], revision=sys.argv[2], disk_img=(sys.argv[3],), insecure=True))
print(before, peak())
"""


@pytest.fixture
def built(tmp_path):
    """Files as a build leaves them; returns the arguments that name them."""
    files = {
        "binaries": {"orchestrator": b"#!/bin/sh\n", "replica": LARGE},
        "disk_img": {"disk-img.tar.gz": gzip.compress(b"disk"), "disk-img.tar.zst": zstandard.compress(b"disk")},
        "update_img": {"update-img.tar.gz": gzip.compress(b"update")},
        "disk_img_dev": {"disk-img.tar.zst": zstandard.compress(b"disk of dev")},
    }
    arguments = {}
    for argument, contents in files.items():
        folder = tmp_path / "built" / argument
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        arguments[argument] = tuple(str(folder / name) for name in contents)
    return arguments | {"binaries": str(tmp_path / "built" / "binaries")}


@pytest.fixture
def checkout(tmp_path):
    return ArtifactsCheckout(tmp_path / "checkout")


def got(checkout, url, **environment):
    """Runs get-artifacts.sh; returns the contents by name."""
    return {name: path.read_bytes() for name, path in checkout.get(url, REVISION, SECONDS, **environment).items()}


def contents(folder):
    return {name: path.read_bytes() for name, path in files_of(folder).items()}


BINARIES = {"release/orchestrator": b"#!/bin/sh\n", "release/replica": LARGE}


@contextlib.contextmanager
def served(folder):
    """Serves a folder by HTTP; yields the URL."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def webdav(tmp_path):
    folder = tmp_path / "nginx"
    (folder / "stored" / "ic").mkdir(parents=True)
    with storage_servers.webdav(folder) as url:
        yield f"{url}/ic"


@pytest.fixture
def s3(monkeypatch):
    with storage_servers.s3("builds") as url:
        for name, value in (storage_servers.S3_KEYS | {"AWS_ENDPOINT_URL": url}).items():
            monkeypatch.setenv(name, value)
        yield url


def publish(to, built, **options):
    main(Arguments(to=str(to), revision=REVISION, insecure=True, **(built | options)))


def test_a_folder(built, checkout, tmp_path):
    publish(tmp_path / "ic", built)
    published = tmp_path / "ic" / REVISION
    assert sorted(str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()) == [
        "guest-os/disk-img-dev/SHA256SUMS",
        "guest-os/disk-img-dev/disk-img.tar.zst",
        "guest-os/disk-img/SHA256SUMS",
        "guest-os/disk-img/disk-img.tar.gz",
        "guest-os/disk-img/disk-img.tar.zst",
        "guest-os/update-img/SHA256SUMS",
        "guest-os/update-img/update-img.tar.gz",
        "release/SHA256SUMS",
        "release/orchestrator.gz",
        "release/replica.gz",
    ]
    for sums in published.rglob("SHA256SUMS"):
        ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', sums.parent)
    with served(tmp_path / "ic") as url:
        images = {"guest-os/disk-img.tar": b"disk", "guest-os/update-img.tar": b"update"}
        assert got(checkout, url) == BINARIES | images
        # What the script unpacks zstd with, it downloads where it isn't installed; a test has no network.
        get(Request(url, REVISION, "dev", https_only=False), tmp_path / "dev", Policy())
        assert contents(tmp_path / "dev") == BINARIES | {"guest-os/disk-img.tar": b"disk of dev"}


def check_replaced(built, checkout, address, url):
    """Publishes a build, and another one in its place that has another replica and lacks a tool."""
    tool = Path(built["binaries"], "state-tool")
    tool.write_bytes(b"tool")
    publish(address, built)
    there = f"{url}/{REVISION}/release/state-tool.gz"
    with urllib.request.urlopen(there):
        pass
    tool.unlink()
    Path(built["binaries"], "replica").write_bytes(b"new")
    publish(address, built, replace=True)
    assert got(checkout, url, GET_GUEST_OS="0") == BINARIES | {"release/replica": b"new"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(there)


def test_webdav(built, checkout, webdav):
    publish(webdav, built)
    assert got(checkout, webdav, GET_GUEST_OS="0") == BINARIES


def test_webdav_is_replaced(built, checkout, webdav):
    check_replaced(built, checkout, webdav, webdav)


def test_memory_does_not_follow_the_size_of_what_webdav_gets(webdav, tmp_path):
    """In a process of its own, whose peak is known (VmHWM of proc_pid_status(5), in KiB)."""
    image = tmp_path / "disk-img.tar.gz"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    command = [sys.executable, "-c", MEASURED, webdav, REVISION, str(image)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert os.path.getsize(tmp_path / f"nginx/stored/ic/{REVISION}/guest-os/disk-img/disk-img.tar.gz") == 256 << 20
    assert after - before < 64 << 10


def test_s3(built, checkout, s3):
    publish("s3://builds/ic", built)
    assert got(checkout, f"{s3}/builds/ic", GET_GUEST_OS="0") == BINARIES


def test_s3_is_replaced(built, checkout, s3):
    check_replaced(built, checkout, "s3://builds/ic", f"{s3}/builds/ic")


def test_checksums_are_signed(built, tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
    ask("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    publish(tmp_path / "ic", built, sums_key=(str(private),))
    with served(tmp_path / "ic") as url:
        get(Request(url, REVISION, "", keys=(public,), https_only=False), tmp_path / "got", Policy())
        assert contents(tmp_path / "got") == BINARIES
        images = tmp_path / "ic" / REVISION / "guest-os"
        (images / "disk-img").rename(images / "prod")
        (images / "disk-img-dev").rename(images / "disk-img")
        with pytest.raises(CheckError, match=f"was signed as that of {REVISION}/guest-os/disk-img-dev, and not of"):
            get(Request(url, REVISION, "prod", keys=(public,), https_only=False), tmp_path / "other", Policy())


def test_signatures_are_added(built, tmp_path, capsys):
    key = tmp_path / "key.pem"
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    publish(tmp_path, built)
    for _ in range(2):
        publish(tmp_path, built, sums_key=(str(key),))
        assert (tmp_path / REVISION / "release" / "SHA256SUMS.sig").exists()
    assert capsys.readouterr().err.count("SHA256SUMS.sig: ") == 4


def test_a_published_revision_stays(built, tmp_path, capsys):
    publish(tmp_path, built)
    sums = tmp_path / REVISION / "release" / "SHA256SUMS"
    before = sums.stat().st_mtime_ns
    publish(tmp_path, built)
    assert capsys.readouterr().err.count("is published already") == 4
    assert sums.stat().st_mtime_ns == before
    Path(built["binaries"], "replica").write_bytes(b"another build")
    with pytest.raises(UserError, match="release/SHA256SUMS: is of another build of this revision; compare them by"):
        publish(tmp_path, built)
    assert sums.stat().st_mtime_ns == before
    publish(tmp_path, built, replace=True)
    ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', sums.parent)


def test_a_folder_is_replaced_at_once(built, tmp_path, monkeypatch):
    """At every step the folder is the old build or the new one, with files that its checksums name."""
    publish(tmp_path, built)
    release = tmp_path / REVISION / "release"
    Path(built["binaries"], "replica").unlink()
    Path(built["binaries"], "state-tool").write_bytes(b"tool")
    (release.parent / "release.new").mkdir()
    (release.parent / "release.new" / "replica.gz").write_bytes(b"of a run that was interrupted")
    put, seen = Publication._put, set()

    def watched(*arguments):
        put(*arguments)
        ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', release)
        seen.add(tuple(sorted(os.listdir(release))))

    monkeypatch.setattr(Publication, "_put", watched)
    publish(tmp_path, built, replace=True)
    assert seen == {("SHA256SUMS", "orchestrator.gz", "replica.gz")}
    assert sorted(os.listdir(release)) == ["SHA256SUMS", "orchestrator.gz", "state-tool.gz"]
    assert sorted(os.listdir(release.parent)) == ["guest-os", "release"]
    ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', release)


class Watched:
    """A store in memory. After every step its folder has no checksums, or exactly the files that they name."""

    def __init__(self):
        self.files, self.builds = {}, []

    def get(self, path):
        return self.files.get(path)

    def put(self, path, file):
        self.files[path] = file.read_bytes()
        self.check()

    def delete(self, path):
        self.files.pop(path, None)
        self.check()

    def check(self):
        found = {name.rpartition("/")[2]: content for name, content in self.files.items()}
        sums = found.pop("SHA256SUMS", None)
        self.builds.append(sums)
        if sums is not None:
            found.pop("SHA256SUMS.sig", None)
            hashes = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
            assert parse_sums(sums.decode(), "") == hashes


def stage_of(folder, files, signature=None):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_sums(folder, files)
    if signature is not None:
        (folder / "SHA256SUMS.sig").write_bytes(signature)
    return folder


def test_elsewhere_a_folder_has_no_checksums_while_it_is_replaced(tmp_path):
    store = Watched()
    publication = Publication(store, "s3://bucket", REVISION)
    first = stage_of(tmp_path / "first", {"a": b"old", "b": b"old", "c": b"same"}, b"of old")
    second = stage_of(tmp_path / "second", {"a": b"new", "c": b"same", "d": b"new"})
    publication.publish("release", first, replace=False)
    store.builds.clear()
    publication.publish("release", second, replace=True)
    sums = (second / "SHA256SUMS").read_bytes()
    assert set(store.builds[:-1]) == {None}
    assert store.builds[-1] == sums
    assert {path.rpartition("/")[2] for path in store.files} == {"SHA256SUMS", "a", "c", "d"}
    store.files[f"{REVISION}/release/SHA256SUMS"] = b"damaged"
    publication.publish("release", second, replace=True)
    assert store.files[f"{REVISION}/release/SHA256SUMS"] == sums


def test_a_replacement_that_was_interrupted_is_finished_by_another_call(tmp_path):
    store = Watched()
    publication = Publication(store, "s3://bucket", REVISION)
    publication.publish("release", stage_of(tmp_path / "first", {"a": b"old", "b": b"old"}), replace=False)
    second = stage_of(tmp_path / "second", {"a": b"new", "c": b"new"})
    put = store.put

    def fails(path, file):
        if path.endswith("/c"):
            raise UserError("no space")
        put(path, file)

    store.put = fails
    with pytest.raises(UserError, match="no space"):
        publication.publish("release", second, replace=True)
    store.put = put
    publication.publish("release", second, replace=False)
    assert store.builds[-1] == (second / "SHA256SUMS").read_bytes()


@pytest.mark.parametrize("known", [True, False])
def test_folders_are_exchanged_also_where_the_file_system_cannot_do_it_in_one_step(tmp_path, monkeypatch, known):
    for name in ("first", "second"):
        (tmp_path / name / f"of {name}").mkdir(parents=True)
    if not known:
        monkeypatch.setattr("guestos_tools.publish._RENAME_EXCHANGE", 1 << 20)
    exchange(tmp_path / "first", tmp_path / "second")
    assert [os.listdir(tmp_path / name) for name in ("first", "second")] == [["of second"], ["of first"]]
    assert len(os.listdir(tmp_path)) == 2
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "none", tmp_path / "second")


def test_addresses(tmp_path, built, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for address in ("ftp://host/a", "file:///a", "s3://", "s3:/bucket", "https://", "https:///a", "HTTPS://host"):
        with pytest.raises(UserError, match=f"--to: '{address}' is no folder, and no URL with s3://"):
            open_store(address, {}, insecure=False)
    with pytest.raises(UserError, match="--to: 'https://' is no folder"):
        open_store("https://user:secret@", {}, insecure=False)
    with pytest.raises(UserError, match="--to: is empty; give a folder or a URL"):
        open_store("", {}, insecure=False)
    assert not list(here.iterdir())
    open_store("./s3:/bucket", {}, insecure=False).put("a", Path(__file__))
    assert files_of(here).keys() == {"s3:/bucket/a"}
    with pytest.raises(UserError, match="--to: 'http://host/a' is not a URL with https://; --insecure permits it"):
        open_store("http://host/a", {}, insecure=False)
    with pytest.raises(UserError, match="--to: 'http://minio' is not a URL with https://; --insecure permits it"):
        open_store("s3://bucket", {"AWS_ENDPOINT_URL": "http://minio"}, insecure=False)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="/file") as caught:
        publish(tmp_path / "file", built)
    assert "\n" not in str(caught.value)


def test_there_must_be_something_to_publish(tmp_path):
    with pytest.raises(UserError, match=r"--binaries: .*/none: cannot be read: No such file or directory"):
        publish(tmp_path, {"binaries": str(tmp_path / "none")})
    with pytest.raises(UserError, match="there is nothing to publish"):
        publish(tmp_path, {})


def test_a_revision_is_what_was_committed(tmp_path):
    git = [oracle("git"), "-c", "user.name=a", "-c", "user.email=a@example", "-C", tmp_path]
    with pytest.raises(UserError, match="is no checkout that git can read; give --revision"):
        revision_of(None, str(tmp_path / "none"))
    with pytest.raises(UserError, match="--revision: 'main' is not a commit id"):
        revision_of("main", str(tmp_path))
    subprocess.run([*git, "init", "-q"], check=True)
    with pytest.raises(UserError, match="has no commit; give --revision"):
        revision_of(None, str(tmp_path))
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert revision_of(None, str(tmp_path)) == commit
    (tmp_path / "a new").mkdir()
    (tmp_path / "a new" / "file").write_bytes(b"")
    message = f"has 1 files that differ from commit {commit}, such as"
    with pytest.raises(UserError, match=f"{message} a new/; commit them first"):
        revision_of(None, str(tmp_path))
    for command in (["add", "."], ["commit", "-q", "-m", "b"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run([*git, "mv", "a new/file", "b"], check=True)
    with pytest.raises(UserError, match=", such as b; commit them first"):
        revision_of(None, str(tmp_path))
