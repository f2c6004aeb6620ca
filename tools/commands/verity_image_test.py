import json
import random
import re

import pytest

from tools.commands import verity_image, verity_verify
from tools.core.cli import call
from tools.image.compare import first_difference
from tools.image.extents import Data, Extent, FileRange, Image, InputFile
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.pieces.piece_digests import digests_of, read_piece_digests
from tools.tar.image_file import open_image
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.oracles import ask

BLOCK = 4096
NOISE = random.Random(0).randbytes(200 * BLOCK)
ROOT = Image(1000 * BLOCK, [Extent(0, 100 * BLOCK, Data(NOISE)), Extent(700 * BLOCK, 77, Data(NOISE))])
UUID = "0b1a3e6c-5a57-4e4c-9a3a-6f4a7c1d9b10"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the image root.img.tar; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    write_raw(archive_of([Member.of("root.img", ROOT)]).image, "root.img.tar")
    return tmp_path


def sign(**changes):
    values = {"input": "root.img.tar", "output": "hashes.img.tar", "root_hash_file": "root_hash", "salt": "5a17"}
    flags = [f"--{name}={value}" for name, value in (values | {"uuid": UUID} | changes).items()]
    return call(verity_image.main, verity_image.Arguments, "", ["verity_image", *flags])


def check(*flags):
    return call(verity_verify.main, verity_verify.Arguments, "", ["verity_verify", *flags])


def test_veritysetup_verifies(folder):
    assert sign() == 0
    root_hash = (folder / "root_hash").read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", root_hash)
    assert ask("tar", "-tf", "hashes.img.tar") == "hashes.img\n"
    write_raw(ROOT, "root.img")
    write_raw(open_image("hashes.img.tar"), "hashes.img")
    ask("veritysetup", "verify", "root.img", "hashes.img", root_hash.strip())
    assert f"UUID:            \t{UUID}" in ask("veritysetup", "dump", "hashes.img")


def test_no_salt_and_other_block_sizes(folder):
    assert sign(salt="-", data_block_size=1024, hash_block_size=2048, raw="true", output="hashes.img") == 0
    write_raw(ROOT, "root.img")
    ask("veritysetup", "verify", "root.img", "hashes.img", (folder / "root_hash").read_text().strip())


def test_digests_change_no_byte(folder, monkeypatch):
    digests_of(open_image("root.img.tar")).write("root.json")
    assert sign() == 0
    expected = (folder / "hashes.img.tar").read_bytes(), (folder / "root_hash").read_bytes()
    for is_worker in (False, True, True):
        monkeypatch.setattr(verity_image, "is_worker", lambda answer=is_worker: answer)
        assert sign(digests="root.json", hash_digests="hashes.json") == 0
        assert ((folder / "hashes.img.tar").read_bytes(), (folder / "root_hash").read_bytes()) == expected
        hashes = open_image("hashes.img.tar")
        assert read_piece_digests("hashes.json", hashes) == digests_of(hashes)


def test_recipes_in_and_out(folder):
    write_raw(ROOT, "root.raw")
    ranges = [Extent(e.offset, e.length, FileRange(InputFile("root.raw"), e.offset)) for e in ROOT.extents]
    write_raw(recipe_of(Image(ROOT.size, ranges), ["root.raw"]), "root.recipe")
    assert sign(hash_digests="hashes.json") == 0
    expected = [(folder / name).read_bytes() for name in ("root_hash", "hashes.json")]
    given = {"input": "root.recipe", "source": "root.raw", "recipe": "true", "output": "hashes.recipe"}
    assert sign(**given, hash_digests="hashes.json") == 0
    assert [(folder / name).read_bytes() for name in ("root_hash", "hashes.json")] == expected
    assert first_difference(open_image("hashes.img.tar"), open_image("hashes.recipe")) is None
    assert (folder / "hashes.recipe").stat().st_size < 5000  # the digests of the hole stand there once


def test_one_form_of_output(folder, capsys):
    assert sign(raw="true", recipe="true") == 2
    assert capsys.readouterr().err == "error: --raw, --recipe: exclude each other; give one of them\n"


def test_digests_of_another_image_are_an_error(folder, monkeypatch, capsys):
    digests_of(Image(4096)).write("root.json")
    monkeypatch.setattr(verity_image, "is_worker", lambda: True)
    assert sign(digests="root.json") == 2
    assert "root.json: is of another image: of 4096 bytes" in capsys.readouterr().err
    assert not (folder / "hashes.img.tar").exists()


def test_verify(folder, capsys):
    assert sign() == 0
    given = ["--input=root.img.tar", "--hashes=hashes.img.tar"]
    assert check(*given, "--root_hash_file=root_hash") == 0
    assert check(*given, f"--root_hash={(folder / 'root_hash').read_text().strip()}") == 0
    assert check(*given, f"--root_hash={64 * '0'}") == 1
    assert (
        "root.img.tar: hash block 0 of level 1, at byte 4096, does not match the root hash" in capsys.readouterr().err
    )


def test_verify_names_the_block_of_one_partition(folder, capsys):
    assert sign() == 0
    data = bytearray(ROOT.read(0, ROOT.size))
    data[77 * BLOCK + 5] ^= 1
    parts = [(0, Image.from_bytes(bytes(data))), (ROOT.size, open_image("hashes.img.tar"))]
    write_raw(Image.compose(2000 * BLOCK, parts), "partition")
    flags = ["--input=partition", f"--hash_offset={ROOT.size}", "--root_hash_file=root_hash"]
    assert check(*flags) == 1
    assert "error: partition: data block 77, at byte 315392, does not match the hash tree" in capsys.readouterr().err


def test_verify_prints_json(folder, capsys):
    assert sign() == 0
    root_hash = (folder / "root_hash").read_text().strip()
    given = ["root.img.tar", "hashes.img.tar", "--json"]
    assert check(*given, "--root_hash_file=root_hash") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "matches": True,
        "mismatch": None,
        "root_hash": root_hash,
        "data_size": ROOT.size,
        "data_block_size": BLOCK,
        "hash_block_size": BLOCK,
        "salt": "5a17",
        "uuid": UUID,
    }
    assert check(*given, f"--root_hash={64 * '0'}") == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    mismatch = "hash block 0 of level 1, at byte 4096, does not match the root hash"
    assert (found["matches"], found["mismatch"], found["uuid"]) == (False, mismatch, None)
    assert err == f"error: root.img.tar: {mismatch}\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"salt": ""}, "salt: '' is not pairs of hexadecimal digits; - is no salt"),
        ({"salt": "abc"}, "salt: 'abc' is not pairs of hexadecimal digits"),
        ({"salt": "00" * 257}, "the salt has 257 bytes; the maximum is 256"),
        ({"uuid": "x"}, "uuid: 'x' is not a UUID"),
        ({"data_block_size": 512}, "data block size 512 is not one of"),
        ({"hash_offset": "1M"}, "hash offset 1048576 is inside the data, which has 4096000 bytes"),
        ({"hash_offset": 4096001}, "hash offset 4096001 is not a multiple of the hash block size, 4096"),
        (
            {"partition_size": "4000K"},
            "the hash tree of root.img.tar ends at byte 4136960, but the partition has 4096000",
        ),
        ({"input": "missing"}, "missing: cannot be read: No such file or directory"),
    ],
)
def test_errors_leave_no_output(folder, capsys, changes, message):
    assert sign(**changes) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["root.img.tar"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--root_hash, --root_hash_file: give one of them, not both"),
        (["--root_hash=00", "--root_hash_file=x"], "--root_hash, --root_hash_file: give one of them, not both"),
        (["--root_hash=00"], "root hash '00' is not 64 hexadecimal digits"),
        (["--root_hash_file=x"], "x: No such file or directory"),
        ([f"--root_hash={64 * '0'}"], "root.img.tar: there is no dm-verity superblock"),
    ],
)
def test_verify_errors(folder, capsys, flags, message):
    assert check("--input=root.img.tar", *flags) == 2
    assert message in capsys.readouterr().err
