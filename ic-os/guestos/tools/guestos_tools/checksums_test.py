"""Tests SHA256SUMS and its signatures; sha256sum and openssl read what is written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from guestos_tools.checksums import SIGNATURES, SUMS, check_place, sign_sums, verify_sums, write_sums
from tools.core.errors import CheckError, UserError
from tools.testing.oracles import ask

MakeKey = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def make_key(tmp_path: Path) -> MakeKey:
    def make(name: str) -> tuple[Path, Path]:
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem"
        ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
        ask("openssl", "pkey", "-in", private, "-pubout", "-out", public)
        return private, public

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "replica.gz").write_bytes(b"replica")
    (folder / "disk img.tar").write_bytes(b"disk")
    return folder


def test_sha256sum_reads_it(folder: Path) -> None:
    sums = write_sums(folder, ["replica.gz", "disk img.tar"])
    assert [line[66:] for line in sums.read_text().splitlines()] == ["disk img.tar", "replica.gz"]
    ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', folder)


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a\nb", ""])
def test_names(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="must not have slashes"):
        write_sums(folder, [name])
    assert not (folder / SUMS).exists()


def test_a_missing_file(folder: Path) -> None:
    with pytest.raises(UserError, match="gone: cannot be read: No such file"):
        write_sums(folder, ["gone"])


def test_signed(folder: Path, make_key: MakeKey) -> None:
    private, public = make_key("release")
    other_private, other_public = make_key("other")
    sums = write_sums(folder, ["replica.gz"])
    signatures = sign_sums(sums, [other_private, private])
    assert signatures == folder / SIGNATURES
    for keys in ([public], [other_public], [make_key("third")[1], public]):
        verify_sums(sums, signatures, keys)
    value = signatures.read_text().split()[5]
    (folder / "value").write_bytes(bytes.fromhex(value))
    ask(
        "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", sums,
        "-sigfile", folder / "value",
    )  # fmt: skip


def test_changed_checksums(folder: Path, make_key: MakeKey) -> None:
    private, public = make_key("release")
    sums = write_sums(folder, ["replica.gz"])
    signatures = sign_sums(sums, [private])
    sums.write_text(sums.read_text().replace("replica", "malware"))
    with pytest.raises(CheckError, match=r"^https://x/SHA256SUMS: is not signed .*\(.*/release\.pub\.pem\)"):
        verify_sums(sums, signatures, [public], "https://x/SHA256SUMS")


def test_another_key(folder: Path, make_key: MakeKey) -> None:
    sums = write_sums(folder, ["replica.gz"])
    signatures = sign_sums(sums, [make_key("release")[0]])
    with pytest.raises(CheckError, match="is not signed by a trusted key"):
        verify_sums(sums, signatures, [make_key("other")[1]])
    with pytest.raises(CheckError, match=r"is not signed by a trusted key \(no key\)"):
        verify_sums(sums, signatures, [])


@pytest.mark.parametrize("text", ["", "\n", "ed25519 00 00\n"])
def test_no_signature(folder: Path, make_key: MakeKey, text: str) -> None:
    sums = write_sums(folder, ["replica.gz"])
    (folder / SIGNATURES).write_text(text)
    with pytest.raises(UserError, match=r"is not signed by a trusted key|line 1 is not a signature"):
        verify_sums(sums, folder / SIGNATURES, [make_key("release")[1]])


def test_new_checksums_have_no_old_signatures(folder: Path, make_key: MakeKey) -> None:
    sums = write_sums(folder, ["replica.gz"])
    sign_sums(sums, [make_key("release")[0]])
    write_sums(folder, ["replica.gz", "disk img.tar"])
    assert not (folder / SIGNATURES).exists()


def test_place(folder: Path) -> None:
    place = f"{'0' * 40}/guest-os/disk-img"
    text = write_sums(folder, ["replica.gz"], place).read_text()
    ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', folder)
    check_place(text, f"https://x/ic/{place}")
    for url in (
        f"https://x/ic/{place}-dev",
        f"https://x/ic/{'1' * 40}/guest-os/disk-img",
        "https://x/guest-os/disk-img",
    ):
        with pytest.raises(CheckError, match=f"^{url}/SHA256SUMS: was signed as that of {place}, and not of this"):
            check_place(text, url)
    for other in ("", text.partition("\n")[2], "# disk-img\n"):
        with pytest.raises(CheckError, match="so its signature is for no folder"):
            check_place(other, "https://x/disk-img")


def test_without_a_key(folder: Path) -> None:
    with pytest.raises(UserError, match=re.escape("SHA256SUMS: there is no key to sign it with")):
        sign_sums(write_sums(folder, ["replica.gz"]), [])
