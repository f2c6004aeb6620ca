"""What is measured of a disk with packages: every byte is counted once, and each file has its package."""

import json

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.report.changes import Change, changes
from tools.report.layers import read_layers
from tools.report.measure import compressed_size, measure
from tools.report.usage import FileUsage, PackageUsage, read_usage
from tools.sbom.owners import file_owners
from tools.testing import sample_disk
from tools.testing.oracles import ask
from tools.testing.sample_disk import MIB
from tools.testing.small_trees import layer

STATUS = """\
Package: hello
Status: install ok installed
Version: 1.0-1
Architecture: amd64
Conffiles:
 /etc/hello.conf 0123

Package: removed
Status: deinstall ok config-files
Version: 1
Architecture: all
"""
ROOT = (
    "etc/",
    "etc/hello.conf = colour",
    "etc/own = mine",
    "lib -> usr/lib",
    "usr/lib/greeting = " + "hello " * 2000,
    "var/lib/dpkg/info/hello:amd64.list = /.\n/lib\n/lib/greeting\n",
    f"var/lib/dpkg/status = {STATUS}",
)


def usage_of(*lines, layers=None, **more):
    root = sample_disk.root_tree(*(lines or ROOT))
    image = sample_disk.disk(sample_disk.fat(layer("t", "EFI/BOOT/A = loader").root), sample_disk.ext4(root), **more)
    return measure({"disk.img": image}, "sample", "sample.tar", layers=layers)


def test_every_byte_is_counted_once():
    usage = usage_of(data=Image.compose(MIB, [(4096, Image.from_bytes(b"raw data"))]))
    assert [(each.name, each.holds, each.size) for each in usage.volumes] == [
        ("esp", "FAT12", 2 * MIB),
        ("A_root", "ext4", 4 * MIB),
        ("empty", "data", MIB),
    ]
    for each in usage.volumes:
        assert each.data == each.files + each.after + each.other
        assert 0 < each.data <= each.size
    assert usage.data == usage.outside + sum(each.data for each in usage.volumes)
    assert usage.volumes[2].other == len("raw data")
    assert sum(each.data for each in usage.files) == sum(each.files for each in usage.volumes)
    assert sum(each.data for each in usage.packages) == sum(each.data for each in usage.files)


def test_compressed_files_count_as_they_are_stored():
    root = sample_disk.root_tree("a = " + "a" * 100_000, "b = b")
    image = sample_disk.squashfs(root)
    (volume,) = measure({"root.img": image}, "sample", "root.img.tar").volumes
    assert volume.holds == "SquashFS"
    assert 0 < volume.files < 1000
    assert volume.data == volume.files + volume.other == image.data_size


def test_files_have_the_layers_that_they_are_from(tmp_path):
    layers = {"A_root": {"@@//:base": ["/etc/hello.conf"], "//app:tree": ["/etc/own", "/not there"]}, "other": {}}
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    usage = usage_of(layers=read_layers(str(tmp_path / "layers.json")))
    assert {each.path: each.layer for each in usage.files if each.layer} == {
        "A_root:/etc/hello.conf": "//:base",
        "A_root:/etc/own": "//app:tree",
    }


@pytest.mark.parametrize("content", ['{"A_root": ["//:base"]}', '{"A_root": {"//:base": 1}}', "[]"])
def test_other_files_are_refused_as_layers(tmp_path, content):
    (tmp_path / "layers.json").write_text(content)
    with pytest.raises(UserError, match=r"layers\.json: "):
        read_layers(str(tmp_path / "layers.json"))


def test_files_have_the_packages_of_dpkgs_lists():
    usage = usage_of()
    assert {each.path: each.package for each in usage.files if "/dpkg/" not in each.path} == {
        "esp:/EFI/BOOT/A": "",
        "A_root:/etc/hello.conf": "hello",
        "A_root:/etc/own": "",
        "A_root:/usr/lib/greeting": "hello",
    }
    others, hello = usage.packages
    assert (hello.name, hello.version, hello.count, hello.data) == ("hello", "1.0-1", 2, 12000 + 6)
    assert (others.name, others.count) == ("", 4)


def test_lists_of_files_and_sums_give_the_same_owners():
    lines = [line for line in ROOT if ".list" not in line]
    sums = "var/lib/dpkg/info/hello:amd64.md5sums = 00  lib/greeting\n"
    assert file_owners(sample_disk.root_tree(*lines, sums)) == {
        b"usr/lib/greeting": "hello",
        b"etc/hello.conf": "hello",
    }


def test_what_a_bill_of_materials_says_of_packages_is_taken():
    known = [PackageUsage(name="hello", version="1.0-1", license="MIT", url="https://x"), PackageUsage(name="other")]
    images = {"": sample_disk.ext4(sample_disk.root_tree(*ROOT))}
    packages = measure(images, "root", "root.img", known).packages
    assert [(each.name, each.license, each.url) for each in packages] == [("", "", ""), ("hello", "MIT", "https://x")]


def test_a_file_with_several_names_is_counted_once(tmp_path):
    root = sample_disk.root_tree("a = " + "x" * 5000)
    root.entries[b"b"] = root.entries[b"a"]
    usage = measure({"": sample_disk.ext4(root)}, "root", "root.img")
    assert [(each.path, each.links, each.data) for each in usage.files] == [("/a", 2, 5000)]
    (tmp_path / "a").write_text("x" * 5000)
    assert usage.files[0].sha256 == ask("sha256sum", tmp_path / "a").split()[0]


def test_compressed_size_is_that_of_zstd(tmp_path):
    (tmp_path / "text").write_text("".join(f"line {number}\n" for number in range(20000)))
    ask("zstd", "-q", "-3", "--no-check", "--single-thread", tmp_path / "text")
    expected = (tmp_path / "text.zst").stat().st_size
    assert compressed_size(Image.from_file(tmp_path / "text")) == pytest.approx(expected, rel=0.05)
    assert compressed_size(Image(MIB)) == 0


def test_the_report_comes_back_from_json(tmp_path):
    usage = usage_of()
    (tmp_path / "report.json").write_text(usage.to_json())
    assert read_usage(tmp_path / "report.json") == usage


def test_changes_of_a_build():
    before = usage_of()
    lines = [line.replace("1.0-1", "1.1-1").replace("etc/own = mine", "etc/new = theirs") for line in ROOT]
    after = usage_of(*lines)
    found = changes(before, after)
    assert found.packages == [
        Change("", before.packages[0].data, after.packages[0].data),
        Change("hello", 12006, 12006, "1.0-1 → 1.1-1"),
    ]
    assert found.files == [
        Change("A_root:/etc/new", None, 6, "added"),
        Change("A_root:/etc/own", 4, None, "removed"),
        Change("A_root:/var/lib/dpkg/status", len(STATUS), len(STATUS), "changed"),
    ]
    assert changes(before, before).files == changes(before, before).packages == changes(before, before).volumes == []


def test_capabilities_and_modes_are_listed():
    root = sample_disk.root_tree("tmp/ 1777", "bin = x")
    root.entries[b"bin"].permissions = 0o4755
    rights = measure({"": sample_disk.ext4(root)}, "root", "root.img").rights
    assert [(each.path, each.rights, each.mode) for each in rights] == [
        ("/bin", ("setuid",), "4755"),
        ("/tmp", ("world-writable, sticky",), "1777"),
    ]


def test_members_of_an_archive_are_volumes():
    usage = measure({"root.img": sample_disk.ext4(sample_disk.root_tree("a = b")), "VERSION": Image(0)}, "u", "u.tar")
    assert [(each.name, each.holds) for each in usage.volumes] == [("root.img", "ext4"), ("VERSION", "empty")]
    assert usage.files[0] == FileUsage(
        path="root.img:/a", size=1, data=1, compressed=usage.files[0].compressed, sha256=usage.files[0].sha256
    )
