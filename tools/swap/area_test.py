import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.swap.area import is_swap_area, swap_area
from tools.testing.oracles import ask
from tools.testing.raw import write_raw

UUID = uuid.UUID("2b110bb7-cdec-7d41-b97e-893edcbe5428")
KIB, GIB = 1 << 10, 1 << 30


@given(pages=st.integers(10, 1 << 20), label=st.text("abc-_\N{PENGUIN}", max_size=3), number=st.uuids())
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_same_bytes_as_mkswap(tmp_path_factory, pages, label, number):
    folder = tmp_path_factory.mktemp("swap")
    theirs = folder / "theirs"
    with theirs.open("wb") as file:
        file.truncate(pages * 4096)
    ask("mkswap", "--uuid", str(number), *(["--label", label] if label else []), theirs)
    ours = swap_area(pages * 4096, number, label)
    with theirs.open("rb") as file:
        assert file.read(4096) == ours.read(0, 4096)
    assert ours.data_size < 100


def test_blkid_and_swaplabel_read_it(tmp_path):
    path = write_raw(swap_area(GIB, UUID, "fifteen-letters"), tmp_path / "swap")
    said = ask("blkid", "--probe", "--output=export", path)
    assert "TYPE=swap" in said
    assert f"UUID={UUID}" in said
    assert "LABEL=fifteen-letters" in said
    said = ask("swaplabel", path)
    assert said.split() == ["LABEL:", "fifteen-letters", "UUID:", str(UUID)]


@pytest.mark.parametrize("size", [0, 36 * KIB, 40 * KIB + 512, (4096 << 32) + 4096])
def test_sizes_out_of_range(size):
    with pytest.raises(UserError, match=f"a swap area has 10 to .* pages of 4096 bytes, not {size} bytes"):
        swap_area(size, UUID)


@pytest.mark.parametrize("label", ["sixteen-letters-", "a\0b"])
def test_labels_that_cannot_be(label):
    with pytest.raises(UserError, match="label"):
        swap_area(40 * KIB, UUID, label)


def test_recognised_by_its_signature():
    area = swap_area(40 * KIB, UUID)
    assert is_swap_area(area)
    assert not is_swap_area(area.slice(0, 4095))
    assert not is_swap_area(area.slice(1, 8192))
