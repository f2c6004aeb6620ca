"""Tests which signatures of gpg are accepted; keys and signatures are made at other times by gpg's clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.core.errors import CheckError
from tools.debian.signature import signed_text
from tools.testing.debian_archive import DebianArchive
from tools.testing.oracles import oracle

MADE = ("--faked-system-time", "20200101T000000!")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianArchive]:
    oracle("gpgv")
    archive = DebianArchive(tmp_path_factory.mktemp("archive"))
    archive.make_key("lasting")
    for name, days in (("expired", "30d"), ("other", "never")):
        archive.gpg(*MADE, "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", days)
    (archive.folder / "Release").write_text("Suite: stable\n")
    yield archive
    archive.close()


def keyring(archive: DebianArchive, *names: str) -> Path:
    path = archive.folder / "keys.asc"
    path.write_text(archive.gpg("--armor", "--export", *names))
    return path


def signed(archive: DebianArchive, *options: str) -> Path:
    path = archive.folder / "InRelease"
    archive.gpg(*options, "--clearsign", "--output", str(path), str(archive.folder / "Release"))
    return path


def test_a_good_signature(archive: DebianArchive) -> None:
    assert signed_text(signed(archive, "--local-user", "lasting"), keyring(archive, "lasting")) == "Suite: stable\n"


def test_a_signature_by_an_expired_key(archive: DebianArchive) -> None:
    file = signed(archive, *MADE, "--local-user", "expired")
    with pytest.raises(CheckError, match=r"is not signed by a key of .*the key has expired.*EXPKEYSIG"):
        signed_text(file, keyring(archive, "expired", "lasting"))


def test_an_expired_signature(archive: DebianArchive) -> None:
    file = signed(archive, *MADE, "--local-user", "other", "--default-sig-expire", "30d")
    with pytest.raises(CheckError, match="EXPSIG"):
        signed_text(file, keyring(archive, "other"))


def test_a_good_signature_beside_one_by_an_expired_key(archive: DebianArchive) -> None:
    """Archives sign with the keys of several releases, of which the oldest expires first."""
    file = signed(archive, *MADE, "--local-user", "expired", "--local-user", "other")
    assert signed_text(file, keyring(archive, "expired", "other")) == "Suite: stable\n"


def test_a_signature_by_a_key_that_is_not_in_the_keyring(archive: DebianArchive) -> None:
    with pytest.raises(CheckError, match="NO_PUBKEY"):
        signed_text(signed(archive, "--local-user", "lasting"), keyring(archive, "other"))
