import random
import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image, Pattern
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.verity.superblock import Superblock
from tools.verity.tree import check_hash_offset, hash_tree, hash_tree_size, protected, read_superblock, verify

ID = uuid.UUID("0b1a3e6c-5a57-4e4c-9a3a-6f4a7c1d9b10")
BLOCK = 4096
RANDOM = random.Random(0)


def parameters(size, **changes):
    return Superblock(**{"data_size": size, "salt": b"salt", "uuid": ID} | changes)


def formatted(data, given_parameters, folder):
    """Returns the hash file and the root hash that veritysetup makes of the same data and parameters."""
    data_file, hash_file = write_raw(data, folder / "data"), folder / "hashes"
    said = ask(
        "veritysetup",
        "format",
        f"--salt={given_parameters.salt.hex() or '-'}",
        f"--uuid={given_parameters.uuid}",
        f"--data-block-size={given_parameters.data_block_size}",
        f"--hash-block-size={given_parameters.hash_block_size}",
        data_file,
        hash_file,
    )
    return hash_file.read_bytes(), bytes.fromhex(re.search(r"Root hash:\s+([0-9a-f]+)", said)[1])


def assert_as_veritysetup(data, given_parameters, folder):
    tree = hash_tree(data, given_parameters)
    hashes, root_hash = formatted(data, given_parameters, folder)
    assert tree.root_hash == root_hash
    assert tree.image.size == hash_tree_size(given_parameters)
    assert tree.image.read(0, tree.image.size) == hashes.ljust(tree.image.size, b"\0")
    assert verify(data, tree.image, root_hash) == given_parameters


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 128 * 127, 128**2 - 1, 128**2, 128**2 + 1])
def test_sizes_around_levels(blocks, tmp_path):
    first, last = Data(b"first" * 1000), Data(RANDOM.randbytes(10))
    size = blocks * BLOCK
    data = Image(size, [Extent(0, min(5000, size - 10), first), Extent(size - 10, 10, last)])
    assert_as_veritysetup(data, parameters(size), tmp_path)


@pytest.mark.parametrize("salt", [b"", b"1", b"s" * 256])
def test_salts(salt, tmp_path):
    assert_as_veritysetup(Image.from_bytes(b"x" * 3 * BLOCK), parameters(3 * BLOCK, salt=salt), tmp_path)


@pytest.mark.parametrize("data_block", [1024, 2048, 4096])
@pytest.mark.parametrize("hash_block", [1024, 2048, 4096])
def test_block_sizes(data_block, hash_block, tmp_path):
    sizes = {"data_block_size": data_block, "hash_block_size": hash_block}
    data = Image(5 << 20, [Extent(1 << 20, 3 << 20, Data(bytes(range(251)) * (3 << 20)))])
    assert_as_veritysetup(data, parameters(data.size, **sizes), tmp_path)


@st.composite
def images(draw):
    block = draw(st.sampled_from([1024, 4096]))
    blocks = draw(st.integers(1, 40) | st.integers(41, 3000))
    size = blocks * block
    extents, end = [], 0
    for _ in range(draw(st.integers(0, 8))):
        offset = end + draw(st.integers(0, 3 * block) | st.integers(0, size))
        length = draw(st.integers(1, 2 * block) | st.integers(1, size))
        if offset + length > size:
            break
        seed = draw(st.binary(min_size=1, max_size=6))
        patterns = st.sampled_from([Pattern(seed), Pattern(b"\xff", 0), Pattern(bytes(range(64)), 5)])
        source = draw(patterns | st.just(Data((seed * length)[:length])))
        extents.append(Extent(offset, length, source))
        end = offset + length
    return Image(size, extents), block


@given(images(), st.binary(max_size=256))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_image(tmp_path_factory, image, salt):
    data, block = image
    sizes = {"data_block_size": block, "hash_block_size": block}
    assert_as_veritysetup(data, parameters(data.size, salt=salt, **sizes), tmp_path_factory.mktemp("verity"))


@given(images())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_holes_and_patterns_hash_like_the_bytes_they_stand_for(image):
    data, block = image
    sizes = {"data_block_size": block, "hash_block_size": block}
    expected = hash_tree(Image.from_bytes(data.read(0, data.size)), parameters(data.size, **sizes))
    tree = hash_tree(data, parameters(data.size, **sizes))
    assert tree.root_hash == expected.root_hash
    assert tree.image.read(0, tree.image.size) == expected.image.read(0, expected.image.size)


def test_veritysetup_verifies_one_partition_with_both(tmp_path):
    data = Image(300 * BLOCK, [Extent(7, 5000, Data(b"data!" * 1000))])
    tree = hash_tree(data, parameters(data.size))
    for hash_offset in (None, data.size + 20 * BLOCK):
        partition = protected(data, tree, hash_offset)
        path = write_raw(partition, tmp_path / "partition")
        at = f"--hash-offset={hash_offset or data.size}"
        ask("veritysetup", "verify", at, path, path, tree.root_hash.hex())
        dump = ask("veritysetup", "dump", at, path)
        assert re.search(rf"UUID:\s+{ID}\n", dump)
        assert re.search(r"Data blocks:\s+300\n", dump)
        assert re.search(rf"Salt:\s+{b'salt'.hex()}\n", dump)
        assert read_superblock(partition, hash_offset or data.size) == tree.superblock
        assert verify(partition, partition, tree.root_hash, hash_offset or data.size) == tree.superblock


def test_huge_hole_costs_nothing():
    size = 8 << 40
    data = Image(size, [Extent(0, 10, Data(b"superblock")), Extent(5 << 40, 5000, Data(b"x" * 5000))])
    tree = hash_tree(data, parameters(size))
    assert tree.image.size == hash_tree_size(parameters(size))
    assert tree.image.size > size // 128
    held = sum(len(e.source.data) for e in tree.image.extents if isinstance(e.source, Data))
    assert held < 1 << 20
    verify(data, tree.image, tree.root_hash)


@pytest.fixture
def damaged():
    """Returns a function that gives (data, hashes, root hash) with a byte changed in one of the first two."""
    data = Image(129 * BLOCK, [Extent(0, 129 * BLOCK, Data(RANDOM.randbytes(129 * BLOCK)))])
    tree = hash_tree(data, parameters(data.size))

    def damage(which, offset):
        images = [data, tree.image]
        content = bytearray(images[which].read(0, images[which].size))
        content[offset] ^= 1
        images[which] = Image.from_bytes(bytes(content))
        return *images, tree.root_hash

    return damage


@pytest.mark.parametrize(
    ("which", "offset", "message"),
    [
        (0, 0, "data block 0, at byte 0, does not match the hash tree"),
        (0, 128 * BLOCK + 4095, "data block 128, at byte 524288, does not match the hash tree"),
        (1, BLOCK, "hash block 0 of level 1, at byte 4096, does not match the root hash"),
        (1, 2 * BLOCK - 1, "hash block 0 of level 1, at byte 4096, does not match the root hash"),
        (1, 2 * BLOCK, "hash block 0 of level 0, at byte 8192, does not match the level above"),
        (1, 3 * BLOCK, "hash block 1 of level 0, at byte 12288, does not match the level above"),
        (1, 0, "there is no dm-verity superblock"),
        (1, 8, "superblock version 0 with hash type 1 is not supported"),
        (1, 12, "superblock version 1 with hash type 0 is not supported"),
        (1, 32, "the dm-verity tree's digest is b'rha256'"),
        (1, 64, "data block size 4097 is not one of 1024, 2048, 4096"),
        (1, 68, "hash block size 4097 is not one of"),
        (1, 79, "the dm-verity tree ends at byte .*; it is cut"),
        (1, 81, "its salt has 260 bytes"),
        (1, 88, "does not match the root hash"),
    ],
)
def test_damage_is_found(damaged, which, offset, message):
    with pytest.raises(UserError, match=message):
        verify(*damaged(which, offset))


def test_wrong_or_short_arguments(damaged):
    data, hashes, root_hash = damaged(0, 0)
    with pytest.raises(UserError, match="the root hash has 31 bytes"):
        verify(data, hashes, root_hash[1:])
    with pytest.raises(UserError, match="does not match the root hash"):
        verify(data, hashes, bytes(32))
    with pytest.raises(UserError, match=r"the data has 524288 bytes, the dm-verity tree is over 528384; it is cut"):
        verify(data.slice(0, 128 * BLOCK), hashes, root_hash)
    with pytest.raises(UserError, match=r"the dm-verity tree ends at byte 16384, .* 16383 bytes; it is cut"):
        verify(data, hashes.slice(0, hashes.size - 1), root_hash)
    for offset in (-1, hashes.size, hashes.size - 511):
        with pytest.raises(UserError, match="there is no dm-verity superblock at byte"):
            verify(data, hashes, root_hash, offset)
    with pytest.raises(UserError, match="there is no dm-verity superblock"):
        verify(data, hashes, root_hash, 512)


def test_spare_bytes_after_digests_are_checked():
    data = Image.from_bytes(RANDOM.randbytes(2 * BLOCK))
    tree = hash_tree(data, parameters(data.size))
    spoilt = bytearray(tree.image.read(0, tree.image.size))
    spoilt[-1] = 1
    one_block = hash_tree(Image.from_bytes(bytes(spoilt[BLOCK:])), parameters(BLOCK))
    with pytest.raises(UserError, match="bytes other than zero after its last digest"):
        verify(data, Image.from_bytes(bytes(spoilt)), one_block.root_hash)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_size": 0}, "the data to protect has 0 bytes"),
        ({"data_size": 4097}, "the data to protect has 4097 bytes, .* whole blocks of 4096 bytes"),
        ({"salt": bytes(257)}, "the salt has 257 bytes; there is room for 256"),
        ({"data_block_size": 512}, "data block size 512 is not one of 1024, 2048, 4096 bytes"),
        ({"hash_block_size": 8192}, "hash block size 8192 is not one of"),
    ],
)
def test_parameters_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        parameters(**{"size": 4096} | {"size" if k == "data_size" else k: v for k, v in changes.items()})


def test_hash_offset_is_checked():
    check_hash_offset(8192, parameters(8192))
    with pytest.raises(UserError, match=r"hash offset 8704 is not a multiple of the hash block size, 4096"):
        check_hash_offset(8704, parameters(8192))
    with pytest.raises(UserError, match=r"hash offset 4096 is inside the data, which has 8192 bytes"):
        check_hash_offset(4096, parameters(8192))
