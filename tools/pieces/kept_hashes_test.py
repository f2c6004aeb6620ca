import random
from uuid import UUID

import pytest

from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.rawfile import no_progress
from tools.pieces.kept_hashes import HashStore, hash_tree_by_digests
from tools.pieces.piece_digests import digests_of
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree

MIB = 1 << 20
NOISE = random.Random(0).randbytes(3 * MIB)
SPARSE = Image(
    600 * MIB + 8192,
    [
        Extent(5000, 100, Data(NOISE)),
        Extent(2 * MIB + 1000, 2 * MIB, Data(NOISE)),
        Extent(300 * MIB, 3 * MIB, Pattern(b"pattern")),
        Extent(600 * MIB + 4096, 4096, Data(NOISE)),
    ],
)


def parameters(image, **changes):
    values = {"data_size": image.size, "salt": b"salt", "uuid": UUID(int=7)}
    return Superblock(**values | changes)


def check(image, store, **changes):
    given = parameters(image, **changes)
    made, expected = hash_tree_by_digests(image, digests_of(image), given, store), hash_tree(image, given)
    assert made.root_hash == expected.root_hash
    assert made.superblock == expected.superblock
    assert made.image.size == expected.image.size
    assert made.image.read(0, made.image.size) == expected.image.read(0, expected.image.size)


@pytest.mark.parametrize(
    "changes",
    [{}, {"salt": b""}, {"data_block_size": 1024}, {"hash_block_size": 1024}, {"data_block_size": 2048}],
    ids=str,
)
def test_tree_is_that_without_digests(changes):
    store = HashStore()
    for image in (SPARSE, SPARSE.slice(2 * MIB, MIB), SPARSE, SPARSE.slice(2 * MIB, 129 * 4096)):
        check(image, store, **changes)


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 256, 257, 16384])
def test_trees_of_all_heights(blocks):
    check(Image(blocks * 4096, [Extent(0, 4096, Data(NOISE[:4096]))]), HashStore())
    check(Image(blocks * 4096), HashStore())


def test_what_a_store_has_is_not_mixed_up():
    store = HashStore()
    for changes in ({"salt": b"one"}, {"salt": b"other"}, {"salt": b"one", "data_block_size": 1024}):
        check(SPARSE, store, **changes)


def test_only_what_changed_is_read():
    store, read = HashStore(), []
    hash_tree_by_digests(SPARSE, digests_of(SPARSE), parameters(SPARSE), store)
    changed = Image(SPARSE.size, [*SPARSE.extents, Extent(100 * MIB, 4096, Data(NOISE[:4096]))])
    hash_tree_by_digests(changed, digests_of(changed), parameters(changed), store, read.append)
    assert sum(read) == 4096
    check(changed, store)


def test_a_full_store_begins_anew():
    store = HashStore(most=8192)
    blocks = [Image.from_bytes(bytes([n]) * MIB) for n in (1, 2)]
    read = []
    for block in (blocks[0], blocks[0], blocks[1], blocks[0]):
        store.digests(block, digests_of(block).pieces[0], 4096, b"", read.append)
    assert sum(read) == 3 * MIB
    assert store.digests(blocks[0], digests_of(blocks[0]).pieces[0], 4096, b"", no_progress)
