"""The images of dev are published, downloaded as users do it, and compared with a build of the same revision.

A script stands in for Bazel: it publishes what `bazel run //ic-os/guestos:publish` would have built.
"""

import functools
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from guestos_tools import publish, verify_release
from guestos_tools.artifacts import Request, get
from guestos_tools.download import Policy, sha256_of
from tools.core.errors import CheckError
from tools.testing.oracles import oracle

if "UPDATE" not in os.environ:
    pytest.skip("needs images: bazel test //ic-os/guestos/publish:images_test", allow_module_level=True)

BAZEL = """\
#!/bin/sh
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -gt 0 ] || exit 0
shift
PYTHONPATH='{path}' exec {python} -m guestos_tools.publish {options} "$@"
"""
PATHS = os.pathsep.join(sys.path)


def given(name):
    """Returns the files that the test was given, by their names."""
    paths = [Path.cwd() / word for word in os.environ[name].split()]
    return {path.name: path for path in paths}


class Site:
    """A checkout with one commit, binaries and images, and a server of what is published."""

    def __init__(self, folder):
        self.folder = folder
        self.checkout, self.binaries, self.published = (folder / name for name in ("checkout", "binaries", "ic"))
        for path in (self.checkout, self.binaries, self.published):
            path.mkdir()
        git = [oracle("git"), "-c", "user.name=a", "-c", "user.email=a@example", "-C", self.checkout]
        for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"]):
            subprocess.run([*git, *command], check=True)
        command = [*git, "rev-parse", "HEAD"]
        self.commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        self.executables, self.images = given("EXECUTABLES"), given("DISK") | given("UPDATE")
        for name, path in self.executables.items():
            (self.binaries / name).symlink_to(path)

    def options(self, update):
        """Returns the options of publish for an update image, or several of the same one."""
        options = [f"--binaries={self.binaries}", f"--disk_img_dev={self.images['disk-img.tar.zst']}"]
        return options + [f"--update_img_dev={path}" for path in update]

    def verify(self, url, update):
        """Compares what is published with a build that has an update image."""
        bazel = self.folder / "bazel"
        bazel.write_text(BAZEL.format(path=PATHS, python=sys.executable, options=" ".join(self.options(update))))
        bazel.chmod(0o755)
        output = str(self.folder / "output")
        verify_release.main(verify_release.Arguments(url=url, bazel=str(bazel), output=output, insecure=True))


@pytest.fixture
def site(tmp_path, monkeypatch):
    result = Site(tmp_path)
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(result.checkout))
    monkeypatch.setenv("PYTHONPATH", PATHS)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return result


@pytest.fixture
def url(site):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=site.published)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_is_published_is_what_users_get_and_what_is_built(site, url, capfd):
    update = [site.images[f"update-img.tar.{codec}"] for codec in ("gz", "zst")]
    command = [sys.executable, "-m", "guestos_tools.publish", *site.options(update), f"--to={site.published}"]
    subprocess.run(command, check=True)  # of the commit of the checkout
    got = site.folder / "got"
    get(Request(url, site.commit, "dev", https_only=False), got, Policy())
    found = {str(path.relative_to(got)): path for path in got.rglob("*.tar")}
    assert {name: sha256_of(path) for name, path in found.items()} == {
        f"guest-os/{name}": sha256_of(site.images[name]) for name in ("disk-img.tar", "update-img.tar")
    }
    programs = {path.name: sha256_of(path) for path in (got / "release").iterdir() if not path.name.startswith(".")}
    assert programs == {name: sha256_of(path) for name, path in site.executables.items()}
    site.verify(url, update)
    assert f"all {len(programs) + 3} published files are what was built" in capfd.readouterr().err


def test_an_image_of_another_version_is_not_what_was_published(site, url, capfd):
    image = site.images["update-img.tar.zst"]
    options = {"binaries": str(site.binaries), "disk_img_dev": (str(site.images["disk-img.tar.zst"]),)}
    publish.main(publish.Arguments(to=str(site.published), update_img_dev=(str(image),), **options))
    other = site.folder / image.name
    other.symlink_to(site.images["update-img-test.tar.zst"])
    with pytest.raises(CheckError, match=r"1 of \d+ published files are not what was built"):
        site.verify(url, [other])
    said = capfd.readouterr().out
    assert "guest-os/update-img-dev/update-img.tar.zst: differs: published " in said
    assert "VERSION.TXT" in said
