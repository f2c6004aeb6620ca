import gzip
import hashlib
import json
import tarfile

import pytest
import zstandard

from tools.commands import compress, upgrade_image, upgrade_manifest
from tools.core.cli import call
from tools.gpt.listing import listing
from tools.image.compare import first_difference
from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.rawfile import write_raw
from tools.pieces.piece_digests import digests_of
from tools.tar.image_file import open_member
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.oracles import ask

MIB = 1 << 20
BOOT = Image(3 * MIB, [Extent(0, 5000, Data(bytes(range(250)) * 20))])
ROOT = Image(5 * MIB, [Extent(8192 * n, 5000, Pattern(b"root")) for n in range(500)])
HASHES = Image(MIB, [Extent(0, 40960, Pattern(b"hash"))])
ROOT_HASH = hashlib.sha256(b"root").hexdigest()


def whole_root():
    return Image.compose(7 * MIB, [(0, ROOT), (6 * MIB, HASHES)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, image in (("boot", BOOT), ("root", ROOT), ("hashes", HASHES)):
        write_raw(archive_of([Member.of(f"{name}.img", image)]).image, f"{name}.img.tar")
        for suffix in ("zst", "gz"):
            flags = [f"--input={name}.img.tar", f"--output={name}.data.{suffix}", "--data"]
            assert call(compress.main, compress.Arguments, None, ["compress", *flags]) == 0
    (tmp_path / "root_hash").write_text(f"{ROOT_HASH}\n")
    (tmp_path / "version").write_text("1.2.3\n")
    (tmp_path / "signature").write_bytes(b"s" * 64)
    return tmp_path


def artifact(name, offset=0):
    return {"image": f"{name}.img.tar", "offset": offset, "zst": f"{name}.data.zst", "gz": f"{name}.data.gz"}


def images():
    return [
        {"name": "boot.img", "parts": [artifact("boot")]},
        {"name": "root.img", "parts": [artifact("root"), artifact("hashes", 6 * MIB)]},
    ]


def run(tool, values):
    with open("spec.json", "w") as file:
        json.dump(values, file)
    return call(tool.main, tool.Arguments, None, ["tool", "--spec=spec.json"])


def build_manifest(**changes):
    given = images()
    given[1]["root_hash_file"] = "root_hash"
    values = {"product": "appliance", "variant": "dev", "architecture": "x86_64", "version_file": "version"}
    return run(upgrade_manifest, values | {"images": given, "output": "manifest.json"} | changes)


def build_image(**changes):
    values = {"manifest": "manifest.json", "images": images(), "output_tar": "update-img.tar"}
    return run(upgrade_image, values | changes)


def test_manifest_describes_the_images(folder):
    assert build_manifest() == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    described = manifest.pop("images")
    assert manifest == {
        "format": 1,
        "product": "appliance",
        "variant": "dev",
        "architecture": "x86_64",
        "layout": None,
        "version": "1.2.3",
        "rollback_index": 0,
        "trust": "distribution",
    }
    assert [(image["name"], image["size"], image["root_hash"]) for image in described] == [
        ("boot.img", 3 * MIB, None),
        ("root.img", 7 * MIB, ROOT_HASH),
    ]
    for image, expected in zip(described, (BOOT, whole_root()), strict=True):
        pieces = [expected.read(begin, MIB) for begin in range(0, expected.size, MIB)]
        assert image["piece_size"] == MIB
        assert image["pieces"] == [hashlib.sha256(piece).hexdigest() for piece in pieces]


def digested(names, offset):
    """Returns the specs of the images, with the digests of those that are named and the tree at an offset."""
    given = images()
    given[1]["parts"][1]["offset"] = offset
    for part in (part for image in given for part in image["parts"]):
        name = part["image"].partition(".")[0]
        digests_of(open_member(part["image"])).write(f"{name}.json")
        if name in names:
            part["digests"] = f"{name}.json"
    return given


def test_manifest_of_digests_is_that_of_the_images(folder):
    for offset in (5 * MIB, 6 * MIB, 5 * MIB + 512):
        assert build_manifest(images=digested([], offset)) == 0
        expected = (folder / "manifest.json").read_bytes()
        for names in (["boot"], ["root"], ["hashes"], ["boot", "root", "hashes"]):
            assert build_manifest(images=digested(names, offset)) == 0
            assert (folder / "manifest.json").read_bytes() == expected


def test_a_last_piece_that_two_images_share_is_read(folder):
    """The end of an image whose size is no whole MiB, and the image behind it, are in one piece."""
    for name, image in (("root", ROOT.slice(0, 4 * MIB - 4096)), ("hashes", HASHES.slice(0, 8192))):
        write_raw(archive_of([Member.of(f"{name}.img", image)]).image, f"{name}.img.tar")
    offset = 4 * MIB - 4096
    assert build_manifest(images=digested([], offset)) == 0
    expected = (folder / "manifest.json").read_bytes()
    assert build_manifest(images=digested(["root", "hashes"], offset)) == 0
    assert (folder / "manifest.json").read_bytes() == expected


def test_what_has_digests_is_not_read(folder, monkeypatch):
    given = digested(["boot", "root", "hashes"], 6 * MIB)

    def refuse(*_arguments):
        raise AssertionError("an image is read")

    monkeypatch.setattr(upgrade_manifest, "piece_digests", refuse)
    assert build_manifest(images=given) == 0


def test_digests_of_another_image_are_an_error(folder, capsys):
    given = digested(["boot"], 6 * MIB)
    digests_of(ROOT).write("boot.json")
    assert build_manifest(images=given) == 2
    assert "error: boot.json: is of another image: of 5242880 bytes" in capsys.readouterr().err
    assert not (folder / "manifest.json").exists()


def test_manifest_has_the_rollback_index(folder):
    (folder / "index").write_text("4294967295\n")
    for changes, index in (({"rollback_index": 7}, 7), ({"rollback_index_file": "index"}, (1 << 32) - 1)):
        assert build_manifest(**changes) == 0
        assert json.loads((folder / "manifest.json").read_text())["rollback_index"] == index


def test_manifest_names_the_mode_of_trust(folder):
    assert build_manifest(trust="own_keys") == 0
    assert json.loads((folder / "manifest.json").read_text())["trust"] == "own_keys"


def test_an_older_manifest_is_of_the_distribution(folder):
    assert build_manifest() == 0
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(' "trust": "distribution",\n', ""))
    assert "trust" not in json.loads((folder / "manifest.json").read_text())
    assert build_image() == 0


def test_manifest_names_the_layout(folder):
    (folder / "partitions.csv").write_text("esp,2048,2048,U,B78084E2-3363-1346-8C25-D426F26B8928,\nroot,,4096,L,,\n")
    guid = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"
    assert build_manifest(layout="partitions.csv", disk_guid=guid) == 0
    lines = listing("partitions.csv", guid)
    assert lines.startswith(b"1 esp b78084e2-3363-1346-8c25-d426f26b8928\n2 root ")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["layout"] == hashlib.sha256(lines).hexdigest()


def test_image_has_its_members_in_order(folder):
    assert build_manifest() == 0
    assert build_image(signature="signature") == 0
    with tarfile.open("update-img.tar") as tar:
        assert tar.getnames() == ["manifest.json", "manifest.json.sig", "boot.img", "root.img", "VERSION.TXT"]
        assert tar.extractfile("manifest.json").read() == (folder / "manifest.json").read_bytes()
        assert tar.extractfile("manifest.json.sig").read() == b"s" * 64
        assert tar.extractfile("VERSION.TXT").read() == b"1.2.3\n"
    assert first_difference(open_member("update-img.tar", "boot.img"), BOOT) is None
    assert first_difference(open_member("update-img.tar", "root.img"), whole_root()) is None


def test_checksums_are_those_of_sha256sum(folder):
    outputs = {"output_tar": "u.tar", "output_zst": "u.tar.zst", "output_gz": "u.tar.gz"}
    assert build_manifest() == 0
    assert build_image(sha256=True, **outputs) == 0
    for name in outputs.values():
        assert (folder / f"{name}.sha256").read_text() == ask("sha256sum", name)


def test_compressed_data_is_taken_over(folder):
    assert build_manifest() == 0
    assert build_image(output_zst="update-img.tar.zst", output_gz="update-img.tar.gz") == 0
    plain = (folder / "update-img.tar").read_bytes()
    zst, gz = (folder / "update-img.tar.zst").read_bytes(), (folder / "update-img.tar.gz").read_bytes()
    assert zstandard.ZstdDecompressor().stream_reader(zst, read_across_frames=True).read() == plain
    assert gzip.decompress(gz) == plain
    for name in ("boot", "root", "hashes"):
        assert (folder / f"{name}.data.zst").read_bytes() in zst
        assert (folder / f"{name}.data.gz").read_bytes() in gz


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2"}, "--version, --version_file: give one of them, not both"),
        ({"version_file": None}, "--version, --version_file: give one of them, not both"),
        ({"version_file": "none"}, "none: cannot be read"),
        ({"version_file": None, "version": ""}, "version: '' must be letters"),
        ({"version_file": None, "version": "1 2"}, "version: '1 2' must be letters"),
        ({"layout": "partitions.csv"}, "--layout, --disk_guid: belong together; give both or none"),
        ({"disk_guid": "x"}, "--layout, --disk_guid: belong together; give both or none"),
        ({"layout": "none.csv", "disk_guid": "x"}, "disk_guid: 'x' is not a GUID"),
        ({"rollback_index": -1}, "rollback_index: -1 must be a number from 0 to 4294967295"),
        ({"rollback_index": 1 << 32}, "rollback_index: 4294967296 must be a number from 0 to 4294967295"),
        ({"rollback_index": 1, "rollback_index_file": "version"}, "--rollback_index, --rollback_index_file: give one"),
        ({"rollback_index_file": "version"}, "version: '1.2.3' is not a number"),
        ({"rollback_index_file": "none"}, "none: cannot be read"),
        ({"trust": "shim"}, "trust: 'shim' is no mode of trust; give distribution or own_keys"),
        ({"variant": "../x"}, "variant: '../x' must be letters"),
        ({"images": [{"name": "VERSION.TXT", "parts": []}]}, "image 'VERSION.TXT': is not a valid name, is reserved"),
        ({"images": [{"name": "a/b", "parts": []}]}, "image 'a/b': is not a valid name"),
        (
            {"images": [{"name": "x", "parts": []}] * 2},
            "image 'x': is not a valid name",
        ),
        ({"images": [{"name": "x", "parts": [], "root_hash_file": "version"}]}, "'1.2.3' is not a SHA-256"),
        ({"images": [{"name": "x", "parts": [{"image": "none"}]}]}, "none: cannot be read: No such file"),
    ],
)
def test_bad_manifest_is_not_written(folder, capsys, changes, message):
    assert build_manifest(**changes) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_tar": None}, "there is nothing to write"),
        ({"images": images()[:1]}, "manifest.json: is for the images boot.img, root.img, and given are boot.img"),
        (
            {"images": images()[::-1]},
            "manifest.json: is for the images boot.img, root.img, and given are root.img, boot",
        ),
        (
            {"images": [images()[0], {"name": "root.img", "parts": [artifact("root")]}]},
            "manifest.json: is for a root.img of 7340032 bytes, not of 5242880",
        ),
        ({"signature": "none"}, "none: cannot be read: No such file"),
        ({"manifest": "version"}, "version:1: is not JSON"),
    ],
)
def test_bad_image_is_not_written(folder, capsys, changes, message):
    assert build_manifest() == 0
    assert build_image(**changes) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "update-img.tar").exists()


def test_manifest_of_another_format_is_refused(folder, capsys):
    assert build_manifest() == 0
    text = (folder / "manifest.json").read_text()
    for change, message in (
        (('"format": 1', '"format": 2'), "the manifest has format 2; only 1 is supported"),
        (('"size": 3145728', '"size": 9'), "3 hashes don't match 9 bytes"),
        (('"piece_size": 1048576', '"piece_size": 0'), "3 hashes don't match 3145728 bytes"),
    ):
        assert change[0] in text
        (folder / "manifest.json").write_text(text.replace(*change))
        assert build_image() == 2
        assert message in capsys.readouterr().err
