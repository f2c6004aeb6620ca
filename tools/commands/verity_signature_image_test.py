import base64
import json

import pytest

from tools.commands.verity_signature_image import Arguments, main
from tools.core.cli import call
from tools.tar.image_file import open_image
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate

ROOT_HASH = "c00a7d6832d4fcbaf0770f531383e552aa4ba01f549b4bb894564c1f74ba907d"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a root hash, a key and its certificate."""
    monkeypatch.chdir(tmp_path)
    make_certificate(tmp_path, "verity")
    (tmp_path / "root_hash").write_text(f"{ROOT_HASH}\n")
    return tmp_path


def make(*words):
    return call(main, Arguments, "", ["verity_signature_image", "--root_hash_file=root_hash", *words])


def test_signed_by_a_key(folder):
    assert make("--key=verity.key.pem", "--certificate=verity.pem", "--output=sig.img.tar") == 0
    image = open_image("sig.img.tar")
    assert image.size == 16 << 10
    fields = json.loads(image.read(0, image.size).rstrip(b"\0"))
    assert fields["rootHash"] == ROOT_HASH
    (folder / "p7s").write_bytes(base64.b64decode(fields["signature"]))
    (folder / "text").write_text(ROOT_HASH)
    words = ["-binary", "-inform", "DER", "-in", "p7s", "-content", "text", "-CAfile", "verity.pem", "-purpose", "any"]
    assert ask("openssl", "smime", "-verify", *words).startswith(ROOT_HASH)


def test_signed_elsewhere(folder):
    assert make("--to_sign_output=to_sign") == 0
    assert (folder / "to_sign").read_text() == ROOT_HASH
    ask("openssl", "dgst", "-sha256", "-sign", "verity.key.pem", "-out", "signature", "to_sign")
    assert make("--signature=signature", "--certificate=verity.pem", "--output=one", "--raw") == 0
    assert make("--key=verity.key.pem", "--certificate=verity.pem", "--output=other", "--raw") == 0
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is nothing to write: give --output or --to_sign_output"),
        (["--output=out"], "--key, --signature: give one of them, not both or none"),
        (["--output=out", "--key=verity.key.pem"], "--certificate: is missing"),
        (["--output=out", "--signature=root_hash", "--certificate=verity.pem"], "the signature is not one of the root"),
        (
            ["--output=out", "--key=verity.key.pem", "--certificate=verity.pem", "--size=4000"],
            "--size: 4000 bytes are not a multiple of 4096",
        ),
        (["--output=out", "--key=root_hash", "--certificate=verity.pem"], "root_hash: is not a private key as PEM"),
    ],
)
def test_wrong_arguments(folder, capsys, words, message):
    assert make(*words) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (folder / "out").exists()
