import hashlib
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("build-ic.sh")


KEYS = b"Machines with this image accept upgrades by these keys.\n"


class Checkout:
    """A checkout with nothing but the script, and a stand-in for Bazel that notes how it was called."""

    def __init__(self, folder):
        self.folder = folder
        self.script = folder / "gitlab-ci" / "container" / "build-ic.sh"
        self.script.parent.mkdir(parents=True)
        self.script.write_bytes(SCRIPT.read_bytes())
        self.script.chmod(0o755)
        self.root = folder / "execroot"
        self.root.mkdir()
        self.calls = folder / "calls"
        bazel = folder / "bin" / "bazel"
        bazel.parent.mkdir()
        bazel.write_text(
            '#!/bin/bash\nprintf "%s\\n" "$*" >>"$CALLS"\n'
            'case $1 in info) echo "$ROOT" ;; cquery) (cd "$ROOT" && find out -type f | sort) ;; esac\n'
        )
        bazel.chmod(0o755)
        self.output("update-keys.txt", KEYS)

    def output(self, name, content):
        path = self.root / "out" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def run(self, *arguments):
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "ROOT": str(self.root),
            "GIT_CEILING_DIRECTORIES": str(self.folder),
        }
        command = [self.script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, check=False)

    def built(self):
        """Arguments of `bazel build`."""
        (line,) = [line for line in self.calls.read_text().splitlines() if line.startswith("build ")]
        return line.split()[1:]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_without_options_it_builds_the_disk_of_production(checkout):
    checkout.output("disk-img.tar.gz", b"disk")
    done = checkout.run("--here")
    assert done.returncode == 0
    assert done.stderr == (
        "build-ic: warning: without --secure-boot-key, the images have the distribution's boot loader: "
        "who can write to the disk decides what it starts\n"
        "build-ic: warning: without --update-keys, machines with this image accept no upgrade, ever: "
        f"it is for trying out only\n{KEYS.decode()}"
    )
    assert checkout.built() == [
        "--//ic-os/guestos:version=0.0.0",
        "--//ic-os/guestos:prod_trust=distribution",
        "--//ic-os/guestos:allow_prod_without_update_keys",
        "//ic-os/guestos/prod:disk-img.tar.gz",
        "//ic-os/guestos/prod:disk-img.tar.gz.sha256",
        "//ic-os/guestos/prod:update-keys.txt",
    ]
    target = checkout.folder / "artifacts" / "icos" / "disk-img.tar.gz"
    sums = f"{hashlib.sha256(b'disk').hexdigest()} *disk-img.tar.gz"
    assert str(target) in done.stdout.splitlines()
    assert sums in done.stdout.splitlines()
    assert target.read_bytes() == b"disk"
    assert target.stat().st_mode & 0o7777 == 0o644
    assert sorted(path.name for path in target.parent.iterdir()) == ["SHA256SUMS", "disk-img.tar.gz", "update-keys.txt"]


DISK = "//ic-os/guestos/prod:disk-img.tar.gz"
BINARIES = "//ic-os/guestos/prod:payload"


@pytest.mark.parametrize(
    ("options", "targets"),
    [
        (["-i"], [DISK]),
        (["--icos"], [DISK]),
        (["-b", "-i"], [BINARIES, DISK]),
        (["-bi"], [BINARIES, DISK]),
        (["-i", "--binaries"], [BINARIES, DISK]),
        (["-i", "-i"], [DISK]),
        (["-b", "-c", "-i"], [BINARIES, DISK]),
        (["-b", "-i", "update-img"], [BINARIES, "//ic-os/guestos/prod:update-img.tar.gz"]),
        (["--images=update-img"], ["//ic-os/guestos/prod:update-img.tar.gz"]),
        (["--canisters=//my:canisters", "-i"], ["//my:canisters", DISK]),
    ],
)
def test_flags_without_values_choose_what_is_built(checkout, options, targets):
    checkout.output("x", b"")
    done = checkout.run("--here", *options)
    assert done.returncode == 0
    built = [line.split() for line in checkout.calls.read_text().splitlines() if line.startswith("build ")]
    assert [next(word for word in line if word.startswith("//")) for line in built] == targets
    assert ("no canisters are built" in done.stderr) == ("-c" in options)


def test_sums_are_those_of_the_last_build(checkout):
    folder = checkout.folder / "artifacts" / "icos"
    for name in ("disk-img.tar.gz", "disk-img.tar.gz.sha256", "disk-img.tar.zst"):
        checkout.output(name, name.encode())
    assert checkout.run("--here").returncode == 0
    (folder / "own").write_bytes(b"of the user")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    assert [line.split(" *")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()] == [
        "disk-img.tar.gz",
        "disk-img.tar.zst",
        "update-keys.txt",
    ]
    for path in (checkout.root / "out").iterdir():
        path.unlink()
    checkout.output("update-img.tar.gz", b"")
    checkout.output("update-keys.txt", KEYS)
    assert checkout.run("--here").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        *("SHA256SUMS", "own", "update-img.tar.gz", "update-keys.txt"),
    ]


def test_options_choose_images_and_binaries(checkout):
    checkout.output("x", b"")
    options = [
        "-i",
        "disk-img,update-img",
        "--formats=tar,zst",
        "-t",
        "dev",
        "--version",
        "1.2-a",
        "-x",
        "//my:binaries",
    ]
    assert checkout.run("--here", *options).returncode == 0
    assert checkout.built() == [
        "--//ic-os/guestos:version=1.2-a",
        "--//ic-os/guestos:release_binaries=//my:binaries",
        *(
            f"//ic-os/guestos/dev:{image}.tar{form}{sums}"
            for image in ("disk-img", "update-img")
            for form in ("", ".zst")
            for sums in ("", ".sha256")
        ),
        "//ic-os/guestos/dev:update-keys.txt",
    ]


def test_options_choose_distribution_and_keys(checkout):
    checkout.output("x", b"")
    options = ["-d", "ubuntu", "--update-keys=//my:keys", "--signing-key", "@keys//:key.pem", *SECURE_BOOT]
    assert checkout.run("--here", *options).returncode == 0
    assert checkout.built()[1:6] == [
        "--//ic-os/guestos:distribution=ubuntu",
        "--//ic-os/guestos:update_keys=//my:keys",
        "--//ic-os/guestos:signing_key=@keys//:key.pem",
        "--//ic-os/guestos:secure_boot_key=//my:key.pem",
        "--//ic-os/guestos:secure_boot_certificate=//my:certificate.pem",
    ]


UPDATE_KEYS = "--//ic-os/guestos:allow_prod_without_update_keys"
UNSIGNED = "--//ic-os/guestos:allow_unsigned_prod"
DISTRIBUTION = "--//ic-os/guestos:prod_trust=distribution"
SECURE_BOOT = ["--secure-boot-key=//my:key.pem", "--secure-boot-certificate=//my:certificate.pem"]


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ([], [DISTRIBUTION, UPDATE_KEYS]),
        (["-i", "update-img"], [DISTRIBUTION, UPDATE_KEYS, UNSIGNED]),
        ([*SECURE_BOOT, "-i", "update-img"], [UPDATE_KEYS, UNSIGNED]),
        ([*SECURE_BOOT, "-i", "disk-img,update-img", "--update-keys=//my:keys"], [UNSIGNED]),
        ([*SECURE_BOOT, "-i", "update-img", "--signing-key=//my:key.pem"], [UPDATE_KEYS]),
        (["--update-keys=//my:keys"], [DISTRIBUTION]),
        ([*SECURE_BOOT, "--update-keys=//my:keys"], []),
        ([*SECURE_BOOT, "-i", "update-img", "--update-keys=//my:keys", "--signing-key=//my:key.pem"], []),
        (["-t", "dev", "-i", "disk-img,update-img"], []),
    ],
)
def test_a_missing_key_is_allowed_with_a_warning(checkout, options, allowed):
    done = checkout.run("--here", *options)
    assert done.returncode == 0
    assert [word for word in checkout.built() if word in (DISTRIBUTION, UPDATE_KEYS, UNSIGNED)] == allowed
    assert done.stderr.count("build-ic: warning: ") == len(allowed)
    assert done.stderr.endswith(KEYS.decode())


def test_binaries_are_built_executable(checkout):
    checkout.output("replica", b"replica")
    assert checkout.run("--here", "--binaries").returncode == 0
    assert checkout.built() == ["--output_groups=executables", "//ic-os/guestos/prod:payload"]
    assert (checkout.folder / "artifacts" / "release" / "replica").stat().st_mode & 0o7777 == 0o755


def test_downloaded_binaries_are_taken_where_they_are(checkout):
    assert "artifacts/release has no replica" in checkout.run("--here", "-x", "artifacts").stderr
    (checkout.folder / "artifacts" / "release").mkdir(parents=True)
    (checkout.folder / "artifacts" / "release" / "replica").write_bytes(b"")
    checkout.output("x", b"")
    assert checkout.run("--here", "-x", "artifacts").returncode == 0
    assert "--//ic-os/guestos:release_binaries=//artifacts:release" in checkout.built()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-i", "boot"], "--images: 'boot' is none of: disk-img update-img"),
        (["-i", ","], "--images: must be one of: disk-img update-img"),
        (["-f", "gz,xz"], "--formats: 'xz' is none of: gz zst tar"),
        (["-t", "test"], "--type: must be prod or dev, not 'test'"),
        (["-v", "a b"], "--version: 'a b' has other characters than letters, digits and . + ~ _ -"),
        (["--version="], "--version: needs a value"),
        (["-v"], "-v: needs a value"),
        (["-x", "target"], "--executables: 'target' is not reference, artifacts or the label of a Bazel target"),
        (["-d", "trixie"], "--distribution: must be debian or ubuntu, not 'trixie'"),
        (["--update-keys=key.pem"], "--update-keys: 'key.pem' is not the label of a Bazel target"),
        (["--signing-key="], "--signing-key: needs a value"),
        (
            ["-t", "dev", "--signing-key=//my:key.pem"],
            "--signing-key: dev has the key in ic-os/guestos/update-keys; leave it out, or build -t prod",
        ),
        (
            ["-t", "dev", *SECURE_BOOT],
            "--secure-boot-key: dev has the key in ic-os/guestos/secure-boot-keys; leave it out, or build -t prod",
        ),
        *(
            ([option], "--secure-boot-key, --secure-boot-certificate: belong together; give both or none")
            for option in SECURE_BOOT
        ),
        (["-c"], "-c: this repository builds no canisters; give --canisters=LABEL"),
        (["--canisters=wasm"], "--canisters: 'wasm' is not the label of a Bazel target"),
        (["--fast"], "unknown option '--fast'; --help lists the options"),
        (["dev"], "unknown option 'dev'; --help lists the options"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(checkout, options, message):
    done = checkout.run("--here", *options)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"build-ic: error: {message}\n")
    assert not checkout.calls.exists()


def test_help_lists_every_option(checkout):
    done = checkout.run("-h")
    assert (done.returncode, done.stderr) == (0, "")
    for option in (
        *("help", "images", "formats", "type", "version", "executables", "distribution", "update-keys", "signing-key"),
        *("binaries", "canisters", "icos", "here"),
    ):
        assert f"--{option}" in done.stdout


def test_the_version_is_the_commit(checkout):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example", "-C", checkout.folder]
    (checkout.folder / ".gitignore").write_text("/artifacts\n/calls\n/execroot\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    checkout.output("x", b"")
    assert checkout.run("--here").returncode == 0
    assert checkout.built()[0] == f"--//ic-os/guestos:version={commit}"
    checkout.calls.unlink()
    checkout.script.write_bytes(SCRIPT.read_bytes() + b"# changed\n")
    assert checkout.run("--here").returncode == 0
    assert checkout.built()[0] == f"--//ic-os/guestos:version={commit}-dirty"
