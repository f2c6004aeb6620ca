import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest
import zstandard

from guestos_tools import artifacts
from guestos_tools.artifacts import PROGRAM, Request, get, main, parse_sums, request_of
from guestos_tools.checksums import SIGNATURES, sign_sums
from guestos_tools.download import Policy
from guestos_tools.options import call
from tools.core.errors import UserError
from tools.testing.faulty_server import ends_after, instead, resets, serving, status
from tools.testing.oracles import ask, oracle

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
POLICY = Policy(attempts=3, timeout=10, pause=0)
REPLICA = b"\x7fELF replica" * 30000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


def build(server, commit, folder, files):
    """Puts what a build left on the server: contents by name, and their sums."""
    for name, content in files.items():
        server.files[f"/{commit}/{folder}/{name}"] = content
    sums = (f"{hashlib.sha256(content).hexdigest()} *{name}\n" for name, content in files.items())
    server.files[f"/{commit}/{folder}/SHA256SUMS"] = "".join(sums).encode()


@pytest.fixture
def built(server):
    binaries = {"orchestrator.gz": gzip.compress(b"orchestrator"), "replica.gz": gzip.compress(REPLICA, 0)}
    build(server, COMMIT, "release", binaries | {"ic-regedit": b"not packed", "README.gz": b"unknown"})
    build(server, COMMIT, "guest-os/disk-img", {"disk-img.tar.gz": gzip.compress(b"disk"), "disk-img.tar.zst": b"x"})
    build(server, COMMIT, "guest-os/disk-img-dev", {"disk-img.tar.zst": zstandard.compress(b"disk of dev")})
    build(server, COMMIT, "guest-os/update-img", {"update-img.tar.gz": gzip.compress(b"update")})
    return server


def take(server, folder, commit=COMMIT, images="", **options):
    get(Request(server.url, commit, images, https_only=False, **options), folder, POLICY)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".fetched.json"
    }


RELEASE = {"release/ic-regedit": b"not packed", "release/orchestrator": b"orchestrator", "release/replica": REPLICA}
IMAGES = {"guest-os/disk-img.tar": b"disk", "guest-os/update-img.tar": b"update"}


def test_binaries_come_unpacked_and_executable(built, tmp_path):
    take(built, tmp_path)
    assert contents(tmp_path) == RELEASE
    assert {(tmp_path / name).stat().st_mode & 0o7777 for name in RELEASE} == {0o755}
    assert not [path for path in built.paths() if "guest-os" in path]


def test_images_come_too_where_they_are_asked_for(built, tmp_path, capsys):
    take(built, tmp_path, images="prod")
    assert contents(tmp_path) == RELEASE | IMAGES
    assert (tmp_path / "guest-os" / "disk-img.tar").stat().st_mode & 0o7777 == 0o644
    assert "not built, and left out: canister_sandbox, sandbox_launcher, vsock_agent, " in capsys.readouterr().err


@pytest.mark.parametrize("state", ["", "[]", '{"replica": 3}', '{"replica": []}', "[" * 200_000])
def test_a_damaged_state_is_not_trusted(built, tmp_path, state):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / ".fetched.json").write_text(state)
    take(built, tmp_path)
    assert contents(tmp_path) == RELEASE


def test_a_second_call_downloads_nothing(built, tmp_path, capsys):
    take(built, tmp_path, images="prod")
    built.requests.clear()
    take(built, tmp_path, images="prod")
    assert {path.rpartition("/")[2] for path in built.paths()} == {"SHA256SUMS"}
    assert capsys.readouterr().err.count("is up to date") == 2
    assert contents(tmp_path) == RELEASE | IMAGES


def test_only_what_was_changed_here_is_downloaded_again(built, tmp_path):
    take(built, tmp_path)
    (tmp_path / "release" / "replica").write_bytes(b"something else")
    (tmp_path / "release" / "orchestrator").chmod(0o600)
    (tmp_path / "release" / "own").write_bytes(b"of the user")
    built.requests.clear()
    take(built, tmp_path)
    assert [path for path in built.paths() if "SHA256SUMS" not in path] == [f"/{COMMIT}/release/replica.gz"]
    assert contents(tmp_path) == RELEASE | {"release/own": b"of the user"}
    assert (tmp_path / "release" / "orchestrator").stat().st_mode & 0o7777 == 0o755


def test_another_revision_replaces_what_it_does_not_have(built, tmp_path):
    take(built, tmp_path)
    build(built, OTHER, "release", {"orchestrator": b"new", "replica.gz": gzip.compress(REPLICA, 0)})
    built.requests.clear()
    take(built, tmp_path, OTHER)
    assert contents(tmp_path) == {"release/orchestrator": b"new", "release/replica": REPLICA}
    assert f"/{OTHER}/release/replica.gz" not in built.paths()


def test_faults_that_pass_do_no_harm(built, tmp_path):
    path = f"/{COMMIT}/release"
    built.faults[f"{path}/SHA256SUMS"] = [status(500)]
    built.faults[f"{path}/replica.gz"] = [ends_after(100_000), resets, ends_after(100_000), instead(b"short")]
    take(built, tmp_path)
    assert contents(tmp_path) == RELEASE


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([instead(b"wrong")] * 2, r"replica\.gz: is a file of 5 bytes with SHA-256"),
        ([instead(gzip.compress(REPLICA, 0)[:-9])] * 2, r"replica\.gz: is a file of 360\d* bytes with SHA-256"),
        ([status(500)] * 3, r"replica\.gz: the server answers 500"),
        ([status(404)], r"replica\.gz: is not there"),
        ([resets] * 3, r"replica\.gz: .*attempt 3, the last one"),
    ],
)
def test_after_a_failure_all_is_as_it_was(built, tmp_path, faults, message):
    build(built, OTHER, "release", {"orchestrator": b"old", "replica": b"old", "vsock_agent": b"old"})
    take(built, tmp_path, OTHER)
    before = contents(tmp_path)
    built.faults[f"/{COMMIT}/release/replica.gz"] = faults
    with pytest.raises(UserError, match=message):
        take(built, tmp_path)
    assert contents(tmp_path / "release") == contents_of(before, "release/")
    take(built, tmp_path)
    assert contents(tmp_path) == RELEASE


def contents_of(files, prefix):
    return {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}


def test_an_interrupted_call_goes_on_where_it_was(built, tmp_path):
    size = len(gzip.compress(REPLICA, 0))
    built.faults[f"/{COMMIT}/release/replica.gz"] = [ends_after(size - 10), status(403)]
    with pytest.raises(UserError, match="403"):
        take(built, tmp_path)
    built.requests.clear()
    take(built, tmp_path)
    assert [asked for path, asked in built.requests if path.endswith("replica.gz")] == [f"bytes={size - 10}-"]
    assert [path for path in built.paths() if path.endswith("orchestrator.gz")] == []


def test_what_is_no_gzip_file_is_refused(built, tmp_path):
    build(built, COMMIT, "release", {"orchestrator": b"", "replica.gz": gzip.compress(REPLICA)[:-3]})
    with pytest.raises(UserError, match=r"replica\.gz: has the right SHA-256, but cannot be unpacked as .gz"):
        take(built, tmp_path)
    assert not (tmp_path / "release" / "replica").exists()


def test_an_image_needs_its_required_binaries(built, tmp_path):
    build(built, COMMIT, "release", {"replica": b""})
    message = (
        r"/release/SHA256SUMS: lists no orchestrator\.gz or orchestrator\.zst or orchestrator, without which there is"
    )
    with pytest.raises(UserError, match=message):
        take(built, tmp_path)


def test_a_revision_that_was_not_built_is_an_error(built, tmp_path):
    with pytest.raises(UserError, match=f"/{OTHER}/release/SHA256SUMS: is not there, nor is .*/binaries/x86_64-"):
        take(built, tmp_path, OTHER)
    assert contents(tmp_path) == {}


def test_a_revision_without_images_is_an_error_where_they_are_wanted(server, tmp_path):
    build(server, COMMIT, "release", {"orchestrator": b"", "replica": b""})
    with pytest.raises(UserError, match=r"/disk-img/SHA256SUMS: is not there; GET_GUEST_OS=0 takes no images$"):
        take(server, tmp_path, images="prod")
    assert contents(tmp_path) == {}


def test_sums_of_every_form_are_read():
    text = f"{'a' * 64}  plain\n{'b' * 64} *binary\n{'c' * 64}  ./dotted\n"
    assert parse_sums(text, "SUMS") == {"plain": "a" * 64, "binary": "b" * 64, "dotted": "c" * 64}
    for line in ("", "nonsense", f"{'a' * 63}  short", f"{'a' * 64}  ../up", f"{'a' * 64}  "):
        with pytest.raises(UserError, match="SUMS:2: is not a SHA-256 and a name"):
            parse_sums(f"{'a' * 64}  x\n{line}\n", "SUMS")
    with pytest.raises(UserError, match="SUMS:2: has another SHA-256 of x than a line before"):
        parse_sums(f"{'a' * 64}  x\n{'b' * 64}  x\n", "SUMS")


def test_the_other_layout_of_binaries(server, tmp_path):
    binaries = {"orchestrator.gz": gzip.compress(b"orchestrator"), "replica.zst": zstandard.compress(REPLICA)}
    build(server, COMMIT, "binaries/x86_64-linux", binaries)
    take(server, tmp_path)
    assert contents(tmp_path) == {"release/orchestrator": b"orchestrator", "release/replica": REPLICA}


CANISTERS = {
    "nns.wasm.gz": gzip.compress(b"\0asm nns"),
    "plain.wasm": b"\0asm plain",
    "plain.wasm.gz": gzip.compress(b"\0asm plain, packed"),
    "newer.wasm.zst": zstandard.compress(b"\0asm newer"),
}


def test_canisters_are_what_the_checksums_list(built, tmp_path, capsys):
    others = {"..": b"", ".fetched.json": b"{}", "nns.did": b"service", ".hidden.wasm": b""}
    build(built, COMMIT, "canisters", CANISTERS | others)
    take(built, tmp_path)
    expected = {"nns.wasm": b"\0asm nns", "plain.wasm": b"\0asm plain, packed", "newer.wasm": b"\0asm newer"}
    assert contents(tmp_path) == RELEASE | {f"canisters/{name}": content for name, content in expected.items()}
    assert (tmp_path / "canisters/nns.wasm").stat().st_mode & 0o7777 == 0o644
    before = len(built.requests)
    take(built, tmp_path, canisters=False)
    assert not [path for path in built.paths()[before:] if "canisters" in path]
    assert contents(tmp_path).keys() >= {"canisters/nns.wasm"}
    assert "no canisters are taken" not in capsys.readouterr().err
    build(built, OTHER, "release", {"orchestrator": b"other", "replica": b"other"})
    take(built, tmp_path, OTHER)
    assert not [name for name in contents(tmp_path) if name.startswith("canisters/")]


def test_a_revision_without_canisters_is_taken(built, tmp_path, capsys):
    take(built, tmp_path)
    assert contents(tmp_path) == RELEASE
    assert f"{built.url}/{COMMIT}/canisters: is not there; no canisters are taken" in capsys.readouterr().err


def blessed(server, folder, files):
    build(server, f"blessed/ic/{COMMIT}", folder, files)


@pytest.fixture
def layout(server):
    """A server with revisions at /ic; nothing of them is released."""
    build(server, f"ic/{COMMIT}", "release", {"orchestrator": b"of a build", "replica": REPLICA})
    build(server, f"ic/{COMMIT}", "canisters", {"nns.wasm": b"of a build"})
    build(server, f"ic/{COMMIT}", "guest-os/disk-img", {"disk-img.tar.gz": gzip.compress(b"disk")})
    return server


def take_of_layout(server, folder, commit=COMMIT, **options):
    get(Request(f"{server.url}/ic", commit, "prod", https_only=False, **options), folder, POLICY)
    return contents(folder)


BUILT = {
    "canisters/nns.wasm": b"of a build",
    "guest-os/disk-img.tar": b"disk",
    "release/orchestrator": b"of a build",
    "release/replica": REPLICA,
}


def test_what_was_released_comes_first_folder_by_folder(layout, tmp_path, capsys):
    assert take_of_layout(layout, tmp_path) == BUILT
    blessed(layout, "binaries/x86_64-linux", {"orchestrator": b"released", "replica": REPLICA})
    blessed(layout, "canisters", {"nns.wasm.gz": gzip.compress(b"released")})
    released = {"canisters/nns.wasm": b"released", "release/orchestrator": b"released"}
    assert take_of_layout(layout, tmp_path) == BUILT | released
    output = capsys.readouterr().err
    assert f"taking {layout.url}/blessed/ic/{COMMIT}/binaries/x86_64-linux\n" in output
    assert f"taking {layout.url}/ic/{COMMIT}/guest-os/disk-img\n" in output


def test_a_bucket_that_forbids_what_is_missing(layout, tmp_path):
    folders = ("release", "binaries/x86_64-linux", "canisters", "guest-os/disk-img", "guest-os/update-img")
    for folder in folders:
        layout.faults[f"/blessed/ic/{COMMIT}/{folder}/SHA256SUMS"] = [status(403)] * 9
    assert take_of_layout(layout, tmp_path) == BUILT
    layout.faults[f"/ic/{COMMIT}/release/SHA256SUMS"] = [status(403)]
    with pytest.raises(UserError, match=r"/ic/[0-9a-f]*/release/SHA256SUMS: the server answers 403"):
        take_of_layout(layout, tmp_path)


def test_a_server_that_has_no_other_prefix_is_asked_for_none(built, tmp_path):
    take(built, tmp_path, images="prod")
    assert not [path for path in built.paths() if "blessed" in path]


def test_images_of_dev_and_for_tests_of_upgrades(built, tmp_path):
    build(built, COMMIT, "guest-os/update-img-dev", {"update-img-test.tar.zst": zstandard.compress(b"of a test")})
    take(built, tmp_path, images="dev")
    images = {"guest-os/disk-img.tar": b"disk of dev", "guest-os/update-img-test.tar": b"of a test"}
    assert contents(tmp_path) == RELEASE | images


def test_a_second_revision_is_the_target_of_an_upgrade(built, tmp_path):
    build(built, OTHER, "guest-os/disk-img", {"disk-img.tar.gz": gzip.compress(b"other disk")})
    take(built, tmp_path, images="prod", target=OTHER)
    assert contents(tmp_path) == RELEASE | IMAGES | {"guest-os-master/disk-img.tar": b"other disk"}


def test_what_is_no_zstd_file_is_refused(built, tmp_path):
    build(built, COMMIT, "release", {"orchestrator": b"", "replica.zst": zstandard.compress(REPLICA)[:-3]})
    with pytest.raises(UserError, match=r"replica\.zst: has the right SHA-256, but cannot be unpacked as .zst"):
        take(built, tmp_path)
    assert not (tmp_path / "release" / "replica").exists()


@pytest.mark.parametrize("name", ["replica.gz", "replica.zst"])
def test_what_unpacks_to_more_than_it_should_is_refused(built, tmp_path, monkeypatch, name):
    monkeypatch.setattr(artifacts, "_MOST_BYTES", 1 << 20)
    compress = gzip.compress if name.endswith(".gz") else zstandard.compress
    for size in (1 << 20, (1 << 20) + 1):
        build(built, COMMIT, "release", {"orchestrator": b"", name: compress(bytes(size))})
        if size == 1 << 20:
            take(built, tmp_path)
            continue
        with pytest.raises(UserError, match=rf"{name}: has the right SHA-256, but unpacks to more than 1 MiB, which"):
            take(built, tmp_path)
    assert contents(tmp_path / "release") == {"orchestrator": b"", "replica": bytes(1 << 20)}
    assert not list(tmp_path.rglob("*.unpacked"))


@pytest.mark.parametrize("name", ["replica.gz", "replica.zst"])
def test_an_empty_file_is_no_compressed_file(built, tmp_path, name):
    build(built, COMMIT, "release", {"orchestrator": b"", name: b""})
    suffix = name.removeprefix("replica")
    with pytest.raises(UserError, match=rf"{name}: has the right SHA-256, but cannot be unpacked as {suffix}: it is e"):
        take(built, tmp_path)
    assert not contents(tmp_path / "release")


def test_without_tls_nothing_is_asked_for(built, tmp_path):
    with pytest.raises(UserError, match=r"is not an https:// URL, and .*; ICOS_ARTIFACTS_INSECURE=1 permits it$"):
        get(Request(built.url, COMMIT), tmp_path, POLICY)
    assert built.requests == []


def test_checksums_have_to_be_signed_where_a_key_is_given(built, tmp_path):
    keys = {}
    for name in ("right", "wrong"):
        keys[name] = (tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem")
        ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", keys[name][0])
        ask("openssl", "pkey", "-in", keys[name][0], "-pubout", "-out", keys[name][1])
    with pytest.raises(UserError, match=r"/release/SHA256SUMS: is not signed, SHA256SUMS\.sig is missing"):
        take(built, tmp_path / "got", keys=(keys["right"][1],))
    sums = tmp_path / "SHA256SUMS"
    sums.write_bytes(f"# {COMMIT}/release\n".encode() + built.files[f"/{COMMIT}/release/SHA256SUMS"])
    built.files[f"/{COMMIT}/release/SHA256SUMS"] = sums.read_bytes()
    built.files[f"/{COMMIT}/release/{SIGNATURES}"] = sign_sums(sums, [keys["right"][0]]).read_bytes()
    with pytest.raises(UserError, match=r"/release/SHA256SUMS: is not signed by a trusted key"):
        take(built, tmp_path / "got", keys=(keys["wrong"][1],))
    take(built, tmp_path / "got", keys=(keys["right"][1],))
    assert contents(tmp_path / "got") == RELEASE
    built.files[f"/{COMMIT}/release/SHA256SUMS"] += f"{'0' * 64} *added\n".encode()
    with pytest.raises(UserError, match=r"/release/SHA256SUMS: is not signed by a trusted key"):
        take(built, tmp_path / "got", keys=(keys["right"][1],))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with three commits; returns their ids, the newest first."""
    folder = tmp_path / "checkout"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example"]
    subprocess.run([oracle("git"), "init", "-q", "-b", "main", folder], check=True)
    for name in "abc":
        command = [oracle("git"), *identity, "-C", folder, "commit", "-q", "--allow-empty", "-m", name]
        subprocess.run(command, check=True)
    monkeypatch.setattr(artifacts, "WORKSPACE", folder)
    log = subprocess.run([oracle("git"), "-C", folder, "rev-list", "HEAD"], capture_output=True, text=True, check=True)
    return log.stdout.split()


def test_the_newest_commit_that_was_built_is_taken(server, checkout, tmp_path):
    build(server, checkout[1], "release", {"orchestrator": b"newer", "replica": b""})
    build(server, checkout[2], "release", {"orchestrator": b"older", "replica": b""})
    take(server, tmp_path, None)
    assert (tmp_path / "release" / "orchestrator").read_bytes() == b"newer"
    take(server, tmp_path, "HEAD~2")
    assert (tmp_path / "release" / "orchestrator").read_bytes() == b"older"


def test_the_newest_commit_may_be_one_that_was_released(server, checkout, tmp_path):
    for prefix, commit in (("blessed/ic", checkout[1]), ("ic", checkout[2])):
        build(server, f"{prefix}/{commit}", "release", {"orchestrator": prefix.encode(), "replica": b""})
        build(server, f"{prefix}/{commit}", "guest-os/disk-img", {"disk-img.tar": b"disk"})
    assert take_of_layout(server, tmp_path, None)["release/orchestrator"] == b"blessed/ic"


@pytest.mark.parametrize(
    ("commit", "message"),
    [
        (
            None,
            "has no build of the last 50 commits of this checkout; say which one to take: GIT_REV=COMMIT, or from",
        ),
        ("nonsense", "'nonsense' is neither a revision of this checkout nor a full commit id"),
        ("--all", "'--all' is neither a revision"),
        ("main", "/release/SHA256SUMS: is not there"),
    ],
)
def test_a_commit_that_cannot_be_had_is_named(server, checkout, tmp_path, commit, message):
    with pytest.raises(UserError) as caught:
        take(server, tmp_path, commit)
    assert message in str(caught.value)


def test_requests():
    url = "https://download.dfinity.systems/ic"
    assert request_of({}) == Request(url, None, "prod")
    assert request_of({"GET_GUEST_OS": "0", "GIT": "a"}) == Request(url, "a", "")
    assert request_of({"GET_GUEST_OS": "dev", "GIT_REV": "a"}) == Request(url, "a", "dev")
    assert request_of({"GET_GUEST_OS": "1", "GIT_REV": "a", "GIT": "a"}) == Request(url, "a", "prod")
    assert request_of({"GIT": "a", "GIT_REV": "b"}) == Request(url, "a", "prod", "b")
    mirror = {"ICOS_ARTIFACTS_URL": "http://mirror/ic/", "ICOS_ARTIFACTS_INSECURE": "1"}
    assert request_of(mirror) == Request("http://mirror/ic", None, "prod", https_only=False)
    zeros = {"GET_CANISTERS": "0", "GET_HOST_OS": "0", "GET_SETUP_OS": "0"}
    assert request_of(zeros) == Request(url, None, canisters=False)
    assert request_of({"ICOS_ARTIFACTS_KEY": "key.pem"}) == Request(url, None, keys=(Path("key.pem"),))


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"GET_CANISTERS": "yes"}, [], "GET_CANISTERS: must be 0 or 1, not 'yes'"),
        ({"GET_HOST_OS": "1"}, [], "GET_HOST_OS: there is nothing but the GuestOS here; must be 0"),
        ({"GET_GUEST_OS": "no"}, [], "GET_GUEST_OS: must be 0, 1 or dev, not 'no'"),
        (
            {"ICOS_ARTIFACTS_URL": "http://mirror"},
            [],
            "ICOS_ARTIFACTS_URL: 'http://mirror' is not a URL with https://; ICOS_ARTIFACTS_INSECURE=1 permits it",
        ),
        ({"ICOS_ARTIFACTS_INSECURE": "yes"}, [], "ICOS_ARTIFACTS_INSECURE: must be 0 or 1, not 'yes'"),
        ({"ICOS_ARTIFACTS_URL": "mirror"}, [], "ICOS_ARTIFACTS_URL: 'mirror' is not a URL"),
        ({}, ["release"], "unrecognized arguments: release"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(monkeypatch, capsys, environment, arguments, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert call(PROGRAM, main, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROGRAM}: error: {message}")
    assert error.count("\n") == 1
