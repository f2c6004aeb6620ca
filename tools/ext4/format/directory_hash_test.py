import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.ext4.format.directory_hash import hash_names
from tools.testing.oracles import ask

SEED = uuid.UUID("8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e")
NAMES = [b"a", b"ab", b"abc", b"abcd", b"x" * 31, b"x" * 32, b"x" * 33, b"0123456789" * 20, b"y" * 255]


@pytest.mark.parametrize("seed", [SEED, uuid.UUID(int=0), uuid.UUID(int=1)])
def test_debugfs_agrees(seed):
    # ASCII names, whose hash doesn't depend on the signedness of bytes; htree_test has other names, checked by e2fsck.
    for name, value in zip(NAMES, hash_names(NAMES, seed), strict=True):
        said = ask("debugfs", "-R", f"dx_hash -h half_md4 -s {seed} {name.decode()}")
        match = re.search(r"Hash of \S+ is (0x[0-9a-f]+) \(minor (0x[0-9a-f]+)\)", said)
        assert int(match[1], 16) << 32 | int(match[2], 16) == value


@given(st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=1100))
def test_same_hash_alone_and_among_others(names):
    together = hash_names(names, SEED)
    assert all(list(hash_names([name], SEED)) == [value] for name, value in list(zip(names, together, strict=True))[:5])
    assert all((value >> 32) % 2 == 0 and value >> 32 < 2**32 - 2 for value in together)
