import base64
import json

import pytest

from tools.commands import discoverable_image, extension_release, squashfs_image, verity_image, verity_signature_image
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate

UUID = "0b1a3e6c-5a57-4e4c-9a3a-6f4a7c1d9b10"
RELEASE = "usr/lib/extension-release.d/extension-release.app"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a program, a key and its certificate."""
    monkeypatch.chdir(tmp_path)
    make_certificate(tmp_path, "verity")
    (tmp_path / "program").write_text("#!/bin/sh\n")
    return tmp_path


def run(command, **values):
    return call(command.main, command.Arguments, "", [command.__name__, *json.dumps(values, indent=1).splitlines()])


def release(path, **values):
    layers = [{"entries": [{"path": path, "source": "program", "mode": "0755"}]}]
    given = {"kind": "sysext", "id": "debian", "label": "//app:app", "layers": layers, "output": "release"}
    return run(extension_release, **(given | values))


def partition(folder, disk, entry, name):
    content = disk[entry["start"] * 512 : (entry["start"] + entry["size"]) * 512]
    (folder / name).write_bytes(content)
    return content


def test_disk_of_an_extension(folder):
    """Each partition is what others' readers expect of it."""
    assert release("usr/bin/app", version_id="13", architecture="x86_64") == 0
    entries = [{"path": "usr/bin/app", "source": "program", "mode": "0755"}, {"path": RELEASE, "source": "release"}]
    assert run(squashfs_image, layers=[{"entries": entries}], output="fs.img.tar") == 0
    values = {
        "input": "fs.img.tar",
        "output": "hashes.img.tar",
        "root_hash_file": "root_hash",
        "salt": "00",
        "uuid": UUID,
    }
    assert run(verity_image, **values) == 0
    signer = {"key": "verity.key.pem", "certificate": "verity.pem"}
    assert run(verity_signature_image, root_hash_file="root_hash", output="sig.img.tar", **signer) == 0
    values = {"data": "fs.img.tar", "hashes": "hashes.img.tar", "root_hash_file": "root_hash"}
    values |= {"signature": "sig.img.tar", "architecture": "x86_64", "output": "app.raw"}
    assert run(discoverable_image, **values) == 0

    table = json.loads(ask("sfdisk", "--json", "app.raw"))["partitiontable"]
    disk = (folder / "app.raw").read_bytes()
    data, hashes, signature = table["partitions"]
    root_hash = (folder / "root_hash").read_text().strip()
    assert (data["uuid"] + hashes["uuid"]).replace("-", "").lower() == root_hash
    partition(folder, disk, data, "data")
    partition(folder, disk, hashes, "hashes")
    ask("veritysetup", "verify", "data", "hashes", root_hash)
    ask("unsquashfs", "-d", "tree", "data")
    assert (folder / "tree/usr/bin/app").read_text() == "#!/bin/sh\n"
    assert (folder / "tree" / RELEASE).read_text() == "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n"
    fields = json.loads(partition(folder, disk, signature, "signature").rstrip(b"\0"))
    (folder / "p7s").write_bytes(base64.b64decode(fields["signature"]))
    (folder / "text").write_text(root_hash)
    words = ["-binary", "-inform", "DER", "-in", "p7s", "-content", "text", "-CAfile", "verity.pem", "-purpose", "any"]
    assert ask("openssl", "smime", "-verify", *words).startswith(root_hash)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"id": "_any"}, "ID=_any\n"),
        ({"level": "2", "version_id": "13"}, "ID=debian\nVERSION_ID=13\nSYSEXT_LEVEL=2\n"),
        ({"architecture": "aarch64"}, "ID=debian\nARCHITECTURE=arm64\n"),
    ],
)
def test_release_files(folder, values, text):
    assert release("opt/app", **values) == 0
    assert (folder / "release").read_text() == text


def test_release_file_of_a_confext(folder):
    assert release("etc/app.conf", kind="confext", level="1") == 0
    assert (folder / "release").read_text() == "ID=debian\nCONFEXT_LEVEL=1\n"


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        (
            "srv/app/data",
            {},
            "//app:app: /srv/app/data is not in /usr and /opt, all that a sysext extends; move it, or",
        ),
        ("usr/app", {"kind": "confext"}, "//app:app: /usr/app is not in /etc, all that a confext extends"),
        ("usr/app", {"architecture": "vax"}, "architecture 'vax' is none of aarch64, "),
    ],
)
def test_refused(folder, capsys, path, values, message):
    assert release(path, **values) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (folder / "release").exists()
