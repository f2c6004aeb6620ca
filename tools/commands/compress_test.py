import gzip
import json

import pytest
import zstandard

from tools.commands import compress as command
from tools.commands.compress import Arguments, codec_of, main
from tools.core.cli import call
from tools.core.errors import UserError
from tools.image.compressed_data import open_compressed
from tools.image.compression import Gzip, Zstd
from tools.image.extents import Extent, FileRange, Image, InputFile, Pattern
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.pieces.piece_digests import digests_of
from tools.tar.artifacts import Artifact, Outputs, member_of, write_archive
from tools.tar.image_file import open_member
from tools.tar.sparse_archive import Member, archive_of, data_of
from tools.testing.images import content

OUTPUTS = {"tar": None, "zst": None, "gz": None}
IMAGE = Image(20 << 20, [Extent(4096 * n, 1000 + n, Pattern(bytes([n, 7]))) for n in range(1, 200, 3)])


def unzstd(data):
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def compress(*flags):
    return call(main, Arguments, None, ["compress", *map(str, flags)])


@pytest.mark.parametrize(("suffix", "decompress"), [("zst", unzstd), ("gz", gzip.decompress)])
def test_file_and_data(tmp_path, suffix, decompress):
    write_raw(archive_of([Member.of("x.img", IMAGE)]).image, tmp_path / "x.img.tar")
    assert compress(f"--input={tmp_path}/x.img.tar", f"--output={tmp_path}/whole.{suffix}") == 0
    assert decompress((tmp_path / f"whole.{suffix}").read_bytes()) == (tmp_path / "x.img.tar").read_bytes()
    assert compress(f"--input={tmp_path}/x.img.tar", f"--output={tmp_path}/data.{suffix}", "--data") == 0
    assert decompress((tmp_path / f"data.{suffix}").read_bytes()) == content(data_of(IMAGE, 4096))


@pytest.mark.parametrize("suffix", ["zst", "gz"])
@pytest.mark.parametrize("piece_size", ["4M", "100000"])
def test_digests_change_no_byte(tmp_path, monkeypatch, suffix, piece_size):
    write_raw(archive_of([Member.of("x.img", IMAGE)]).image, tmp_path / "x.img.tar")
    digests_of(open_member(tmp_path / "x.img.tar")).write(tmp_path / "x.json")
    given = [f"--input={tmp_path}/x.img.tar", "--data", f"--piece_size={piece_size}"]
    assert compress(*given, f"--output={tmp_path}/alone.{suffix}") == 0
    assert compress(*given, f"--output={tmp_path}/process.{suffix}", f"--digests={tmp_path}/x.json") == 0
    monkeypatch.setattr(command, "is_worker", lambda: True)
    for number in range(2):
        assert compress(*given, f"--output={tmp_path}/{number}.{suffix}", f"--digests={tmp_path}/x.json") == 0
    made = {(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("alone", "process", "0", "1")}
    assert len(made) == 1


@pytest.mark.parametrize("suffix", ["zst", "gz"])
def test_a_recipe_is_compressed_as_the_tar_of_its_image(tmp_path, monkeypatch, suffix):
    write_raw(archive_of([Member.of("x.img", IMAGE)]).image, tmp_path / "x.img.tar")
    write_raw(IMAGE, tmp_path / "x.raw")
    ranges = [Extent(e.offset, e.length, FileRange(InputFile(tmp_path / "x.raw"), e.offset)) for e in IMAGE.extents]
    write_raw(recipe_of(Image(IMAGE.size, ranges), [tmp_path / "x.raw"]), tmp_path / "x.recipe")
    digests_of(open_member(tmp_path / "x.img.tar")).write(tmp_path / "x.json")
    recipe = [f"--input={tmp_path}/x.recipe", f"--source={tmp_path}/x.raw", f"--digests={tmp_path}/x.json"]
    assert compress("--data", f"--input={tmp_path}/x.img.tar", f"--output={tmp_path}/tar.{suffix}") == 0
    assert compress("--data", *recipe, f"--output={tmp_path}/recipe.{suffix}") == 0
    monkeypatch.setattr(command, "is_worker", lambda: True)
    assert compress("--data", *recipe, f"--output={tmp_path}/worker.{suffix}") == 0
    made = {(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("tar", "recipe", "worker")}
    assert len(made) == 1


def test_sources_without_a_recipe_are_an_error(tmp_path, capsys):
    write_raw(archive_of([Member.of("x.img", IMAGE)]).image, tmp_path / "x.img.tar")
    given = [f"--input={tmp_path}/x.img.tar", f"--source={tmp_path}/x.img.tar", f"--output={tmp_path}/x.gz"]
    assert compress(*given, "--data") == 2
    assert "x.img.tar: is no recipe of an image, so it has no sources; leave them out\n" in capsys.readouterr().err
    assert compress(*given) == 2
    assert "error: --source: is of a recipe of an image, of which --data compresses" in capsys.readouterr().err


def test_digests_of_another_image_are_an_error(tmp_path, monkeypatch, capsys):
    write_raw(archive_of([Member.of("x.img", IMAGE)]).image, tmp_path / "x.img.tar")
    digests_of(Image(4096)).write(tmp_path / "x.json")
    monkeypatch.setattr(command, "is_worker", lambda: True)
    given = [f"--input={tmp_path}/x.img.tar", f"--digests={tmp_path}/x.json", f"--output={tmp_path}/x.gz"]
    assert compress(*given, "--data") == 2
    assert "x.json: is of another image: of 4096 bytes with data in 0 pieces, not of" in capsys.readouterr().err
    assert compress(*given) == 2
    assert "error: --digests: are those of an image, of which --data compresses" in capsys.readouterr().err
    assert not (tmp_path / "x.gz").exists()


def framed(path):
    """Returns the zstd frames of a file."""
    frames = []
    data = path.read_bytes()
    while data:
        decoder = zstandard.ZstdDecompressor().decompressobj()
        decoder.decompress(data)
        frames.append(data[: len(data) - len(decoder.unused_data)])
        data = decoder.unused_data
    return frames


def test_a_longer_file_changes_the_pieces_about_it_only(tmp_path):
    """Pieces are cut at places in the image, not in its data, which moves if there is more of it."""
    frames = []
    for name, length in (("one", 4096), ("two", 8192)):
        changed = Extent(21 << 20, length, Pattern(b"new"))
        others = [Extent(n << 19, 100_000, Pattern(bytes([n]))) for n in range(1, 100) if n != 42]
        image = Image(50 << 20, [*others, changed])
        write_raw(archive_of([Member.of("x.img", image)]).image, tmp_path / f"{name}.img.tar")
        assert compress(tmp_path / f"{name}.img.tar", tmp_path / f"{name}.zst", "--data") == 0
        assert unzstd((tmp_path / f"{name}.zst").read_bytes()) == content(data_of(image, 4096))
        frames.append(framed(tmp_path / f"{name}.zst"))
    assert [one == two for one, two in zip(*frames, strict=True)] == [True, True, False, True, True, True, True]


def test_arguments_without_names(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert compress(tmp_path / "x", tmp_path / "x.gz", "--level=1") == 0
    assert gzip.decompress((tmp_path / "x.gz").read_bytes()) == b"abc"


def test_codec_of_arguments():
    assert codec_of(Arguments(input="", output="x.zst")) == Zstd()
    assert codec_of(Arguments(input="", output="x.gz")) == Gzip()
    arguments = Arguments(input="", output="x.zst", level=19, window_log=25, piece_size=1 << 25)
    assert codec_of(arguments) == Zstd(19, 25, 1 << 25)
    assert codec_of(Arguments(input="", output="x.gz", level=12, piece_size=1 << 20)) == Gzip(12, 1 << 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "x.xz"}, r"--output: x\.xz must end in \.zst or \.gz"),
        ({"output": "x.zst", "level": 23}, "--level: must be from 1 to 22, not 23"),
        ({"output": "x.gz", "level": 13}, "--level: must be from 0 to 12, not 13"),
        ({"output": "x.gz", "window_log": 20}, "--window_log: is a parameter of zstd; leave it out for .gz"),
        ({"output": "x.zst", "window_log": 40}, "--window_log: must be from 10 to 27"),
        ({"output": "x.zst", "piece_size": 0}, "--piece_size: must be at least 1 byte"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        codec_of(Arguments(input="", **arguments))


def test_data_of_something_else_is_an_error(tmp_path, capsys):
    (tmp_path / "x").write_text("x")
    assert compress(f"--input={tmp_path}/x", f"--output={tmp_path}/x.gz", "--data") == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/x: is not a tar archive: it has 1 bytes\n"
    assert not (tmp_path / "x.gz").exists()


def base_and_image(folder):
    """Writes a base and an image, each with its digests, and the base's data compressed; returns the image's flags."""
    own = Extent(30 << 20, 5000, Pattern(b"own"))
    for name, image in (("base", IMAGE.resized(40 << 20)), ("x", Image(40 << 20, [*IMAGE.extents, own]))):
        write_raw(archive_of([Member.of("x.img", image)]).image, folder / f"{name}.tar")
        digests_of(open_member(folder / f"{name}.tar")).write(folder / f"{name}.json")
    for suffix in ("gz", "zst"):
        assert compress("--data", f"--input={folder}/base.tar", f"--output={folder}/base.{suffix}") == 0
    return [
        "--data",
        f"--input={folder}/x.tar",
        f"--digests={folder}/x.json",
    ]


def base_flag(folder, data):
    """Returns the flag for the base."""
    value = {"image": "base.tar", "digests": "base.json", "data": data}
    return f"--base={json.dumps({key: f'{folder}/{name}' for key, name in value.items()})}"


@pytest.mark.parametrize("suffix", ["zst", "gz"])
def test_what_the_base_has_is_not_written_again(tmp_path, monkeypatch, suffix):
    flags = base_and_image(tmp_path)
    assert compress(*flags[:2], f"--output={tmp_path}/x.{suffix}") == 0
    for is_worker in (False, True, True):
        monkeypatch.setattr(command, "is_worker", lambda answer=is_worker: answer)
        output = f"{tmp_path}/x.{suffix}.recipe"
        assert compress(*flags, base_flag(tmp_path, f"base.{suffix}"), f"--output={output}") == 0
        made = open_compressed(output, [tmp_path / f"base.{suffix}"]).stream
        assert content(made) == (tmp_path / f"x.{suffix}").read_bytes()
    image = Artifact(
        str(tmp_path / "x.tar"), 0, **{suffix: output, f"{suffix}_sources": (f"{tmp_path}/base.{suffix}",)}
    )
    write_archive(archive_of([member_of("x.img", [image])]), Outputs(**OUTPUTS | {suffix: f"{tmp_path}/all.{suffix}"}))
    whole = archive_of(
        [member_of("x.img", [Artifact(str(tmp_path / "x.tar"), 0, **{suffix: f"{tmp_path}/x.{suffix}"})])]
    )
    write_archive(whole, Outputs(**OUTPUTS | {suffix: f"{tmp_path}/expected.{suffix}"}))
    assert (tmp_path / f"all.{suffix}").read_bytes() == (tmp_path / f"expected.{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("data", "flags", "message"),
    [
        ("base.gz", ["--output={}/x.gz"], "--base: is for an output that ends in .recipe, and such an output needs it"),
        ("", ["--output={}/x.gz.recipe"], "--base: is for an output that ends in .recipe, and such an output needs it"),
        ("base.gz", ["--output={}/x.gz.recipe", "--piece_size=1000"], "--piece_size: must be a multiple of 1M with"),
        ("base.zst", ["--output={}/x.gz.recipe"], "base.zst: has no gzip member with its size"),
        ("x.json", ["--output={}/x.zst.recipe"], "x.json: has no zstd frame at byte 0"),
        ("base.gz", ["--output={}/x.recipe"], "x.recipe must end in .zst or .gz"),
    ],
)
def test_a_wrong_base_is_an_error(tmp_path, capsys, data, flags, message):
    given = base_and_image(tmp_path) + ([base_flag(tmp_path, data)] if data else [])
    assert compress(*given, *(flag.format(tmp_path) for flag in flags)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not {"x.gz", "x.gz.recipe", "x.zst.recipe"} & {path.name for path in tmp_path.iterdir()}


def test_a_base_needs_digests_of_the_image(tmp_path, capsys):
    given = base_and_image(tmp_path)[:2]
    assert compress(*given, base_flag(tmp_path, "base.gz"), f"--output={tmp_path}/x.gz.recipe") == 2
    assert "error: --base: is compared with the image by --digests; give both\n" in capsys.readouterr().err
