"""Tests of the forms that images are written in; other programs read them."""

import subprocess
import tarfile
from dataclasses import replace

import pytest

from tools.commands.image_export import Arguments, main
from tools.core.errors import UserError
from tools.image.extents import Extent, FileRange, Image, InputFile
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.tar.artifacts import Artifact
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.oracles import ask, oracle
from tools.testing.sample_disk import disk, ext4, fat, root_tree


@pytest.fixture
def parts(tmp_path):
    """An ext4 file system in a tar, and 8 KiB after it, as a verity_image has them."""
    image = ext4(root_tree("a = 1", "d/b = 22"))
    write_raw(archive_of([Member.of("root.img", image)]).image, tmp_path / "root.img.tar")
    write_raw(Image.from_bytes(b"h" * 8192), tmp_path / "hashes")
    return image, (Artifact(str(tmp_path / "root.img.tar")), Artifact(str(tmp_path / "hashes"), image.size))


def content(image):
    return image.read(0, image.size) + b"h" * 8192


def test_raw(tmp_path, parts):
    image, specs = parts
    main(Arguments(parts=specs, output=str(tmp_path / "root.raw")))
    assert (tmp_path / "root.raw").read_bytes() == content(image)
    ask("e2fsck", "-fn", tmp_path / "root.raw")
    assert (tmp_path / "root.raw").stat().st_blocks * 512 < image.size // 2


@pytest.mark.parametrize(("suffix", "program"), [(".tar.zst", "zstd"), (".tar.gz", "gzip")])
def test_compressed_tars(tmp_path, parts, suffix, program):
    image, specs = parts
    output = tmp_path / f"root.img{suffix}"
    main(Arguments(parts=specs, output=str(output)))
    tar = subprocess.run([oracle(program), "-dc", output], capture_output=True, check=True).stdout
    (tmp_path / "plain.tar").write_bytes(tar)
    with tarfile.open(tmp_path / "plain.tar") as archive:
        assert archive.getnames() == ["root.img"]
        assert archive.extractfile("root.img").read() == content(image)


def test_a_tar_of_a_recipe_is_the_tar_of_the_image(tmp_path):
    image = ext4(root_tree("a = 1", "d/b = 22"))
    (tmp_path / "file").write_bytes(image.read(0, image.size))
    ranges = Image(
        image.size,
        [Extent(e.offset, e.length, FileRange(InputFile(tmp_path / "file"), e.offset)) for e in image.extents],
    )
    write_raw(recipe_of(ranges, [tmp_path / "file"]), tmp_path / "root.img.recipe")
    write_raw(archive_of([Member.of("root.img", image)]).image, tmp_path / "expected.tar")
    part = Artifact(str(tmp_path / "root.img.recipe"), sources=(str(tmp_path / "file"),))
    main(Arguments(parts=(part,), output=str(tmp_path / "root.img.tar")))
    assert (tmp_path / "root.img.tar").read_bytes() == (tmp_path / "expected.tar").read_bytes()


def test_sources_of_what_is_no_recipe_are_an_error(tmp_path, parts):
    _, (part, _) = parts
    with pytest.raises(UserError, match=r"root\.img\.tar: is no recipe of an image, so it has no sources; leave them"):
        main(Arguments(parts=(replace(part, sources=(part.image,)),), output=str(tmp_path / "root.raw")))


def test_mtree(tmp_path, parts):
    _, specs = parts
    main(Arguments(parts=specs, output=str(tmp_path / "root.mtree"), member="root"))
    lines = (tmp_path / "root.mtree").read_text().splitlines()
    assert lines[0] == "#mtree"
    assert [line.split()[0] for line in lines[1:]] == [".", "./a", "./d", "./d/b", "./lost+found"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("root.img", r"root\.img must end in one of \.raw, \.tar, \.tar\.zst, \.tar\.gz, \.mtree"),
        ("disk.mtree", "disk: is a disk; list its partitions one by one"),
    ],
)
def test_errors(tmp_path, output, message):
    write_raw(disk(fat(root_tree("a = b")), ext4(root_tree())), tmp_path / "disk.img")
    with pytest.raises(UserError, match=message):
        main(Arguments(parts=(Artifact(str(tmp_path / "disk.img")),), output=str(tmp_path / output)))
    assert not (tmp_path / output).exists()


def test_no_parts(tmp_path):
    with pytest.raises(UserError, match="--parts: is empty; give at least one image"):
        main(Arguments(parts=(), output=str(tmp_path / "root.raw")))
