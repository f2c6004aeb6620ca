import io
import tarfile

import pytest

from guestos import bootstrap
from guestos.errors import GuestError


def archive(path, *members):
    """Writes a tar of (name, content or type) pairs and returns its path."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) == 1 and content != b"x":
                info.type, info.linkname = content, "network.conf"
                tar.addfile(info)
            elif content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def places(tmp_path):
    config, crypto = tmp_path / "config", tmp_path / "crypto"
    config.mkdir()
    crypto.mkdir()
    return config, {"ic_crypto": crypto, "ic_registry_local_store": tmp_path / "data" / "registry"}


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_moved_to_their_places(tmp_path, places):
    config, moved = places
    tar = archive(
        tmp_path / "a.tar",
        ("./", None),
        ("./network.conf", b"hostname=a\n"),
        ("accounts_ssh_authorized_keys", None),
        ("accounts_ssh_authorized_keys/admin", b"ssh-ed25519 AAAA\n"),
        ("ic_crypto/public_keys.pb", b"keys"),
        ("ic_registry_local_store/0001/02/03.pb", b"registry"),
    )
    bootstrap.import_archive(tar, config, moved)
    assert listing(config) == {
        "CONFIGURED": b"",
        "accounts_ssh_authorized_keys/admin": b"ssh-ed25519 AAAA\n",
        "network.conf": b"hostname=a\n",
    }
    assert listing(moved["ic_crypto"]) == {"public_keys.pb": b"keys"}
    assert listing(moved["ic_registry_local_store"]) == {"0001/02/03.pb": b"registry"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("/network.conf", b"x"),
        ("../network.conf", b"x"),
        ("ic_crypto/../../network.conf", b"x"),
        ("nonsense.conf", b"x"),
        ("machine-id", b"x"),
        ("store.keyfile", b"x"),
        ("CONFIGURED", b"x"),
        ("network.conf", None),
        ("network.conf/x", b"x"),
        ("accounts_ssh_authorized_keys/a/b", b"x"),
        ("ic_crypto/link", tarfile.SYMTYPE),
        ("ic_crypto/link", tarfile.LNKTYPE),
        ("ic_crypto/device", tarfile.CHRTYPE),
        ("ic_crypto/pipe", tarfile.FIFOTYPE),
    ],
)
def test_members_that_are_not_allowed_are_refused_before_anything_changes(tmp_path, places, name, content):
    config, moved = places
    tar = archive(tmp_path / "a.tar", ("nns.conf", b"good"), (name, content))
    with pytest.raises(GuestError, match="which is not allowed in a configuration"):
        bootstrap.import_archive(tar, config, moved)
    assert listing(tmp_path) == {"a.tar": tar.read_bytes()}


def test_a_truncated_archive_changes_nothing(tmp_path, places):
    config, moved = places
    tar = archive(tmp_path / "a.tar", ("network.conf", b"hostname=a\n"), ("ic_crypto/key", b"k" * 600))
    whole = tar.read_bytes()
    for length in range(0, 3 * 512 + 2 * 512 + 512, 256):
        tar.write_bytes(whole[:length])
        with pytest.raises(GuestError):
            bootstrap.import_archive(tar, config, moved)
        assert listing(config) == {}
    tar.write_bytes(whole)
    bootstrap.import_archive(tar, config, moved)
    assert (config / "CONFIGURED").exists()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff" * 2048, b"\x1f\x8b\x08" + bytes(2000)])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path, places, data):
    config, moved = places
    tar = tmp_path / "a.tar"
    tar.write_bytes(data)
    with pytest.raises(GuestError):
        bootstrap.import_archive(tar, config, moved)
    assert listing(config) == {}


def test_an_archive_that_declares_too_much_data_is_refused(tmp_path, places):
    config, moved = places
    tar = tmp_path / "a.tar"
    info = tarfile.TarInfo("ic_crypto/big")
    info.size = 1 << 40
    tar.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(GuestError):
        bootstrap.import_archive(tar, config, moved)


def test_remains_of_an_interrupted_run_are_replaced(tmp_path, places):
    config, moved = places
    (config / "bootstrap.new").mkdir()
    (config / "bootstrap.new" / "nonsense").write_bytes(b"")
    (config / "network.conf").write_bytes(b"old")
    tar = archive(tmp_path / "a.tar", ("network.conf", b"new"))
    bootstrap.import_archive(tar, config, moved)
    assert listing(config) == {"CONFIGURED": b"", "network.conf": b"new"}


def test_a_configured_machine_ignores_every_medium(tmp_path, monkeypatch):
    (tmp_path / "CONFIGURED").write_bytes(b"")
    monkeypatch.setattr(bootstrap, "CONFIG", tmp_path)
    monkeypatch.setattr(bootstrap, "candidates", lambda: pytest.fail("media were searched"))
    assert bootstrap.main() == 0
