import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.ext4.geometry import NoRoomError, choose_geometry
from tools.testing.ext4_images import options


@st.composite
def geometries(draw):
    block_size = draw(st.sampled_from([1024, 2048, 4096]))
    parameters = options(
        0,
        block_size=block_size,
        inode_size=draw(st.sampled_from([128, 256, 1024])),
        inode_ratio=draw(st.sampled_from([4096, 5000, 16384, 1 << 20])),
        groups_per_flex=draw(st.sampled_from([1, 4, 16, 64])),
        wide=draw(st.sampled_from([None, True])),
    )
    blocks = draw(st.one_of(st.integers(64, 1000), st.integers(1000, 2**22)))
    try:
        return choose_geometry(parameters, blocks, draw(st.sampled_from([11, 3000])))
    except NoRoomError:
        assume(False)


@given(geometries())
def test_tables_and_free_runs_share_all_blocks(geometry):
    spans = [(0, geometry.first_block)]
    spans += [(geometry.group_start(group), 1 + geometry.descriptor_blocks) for group in geometry.backup_groups]
    for index in range(geometry.flex_groups):
        flex = geometry.flex(index)
        spans += [(flex.start + block, 1) for block in flex.layout.block_bitmaps + flex.layout.inode_bitmaps]
        spans += [(flex.start + block, geometry.table_blocks) for block in flex.layout.inode_tables]
    assert sum(length for _, length in spans) == geometry.metadata_blocks
    spans += geometry.free_runs()
    end = 0
    for start, length in sorted(span for span in spans if span[1]):
        assert start == end
        end += length
    assert end == geometry.blocks


@given(geometries())
def test_groups_know_their_own_blocks(geometry):
    for index in range(geometry.flex_groups):
        flex = geometry.flex(index)
        free = sum(length for _, length in flex.layout.free)
        groups = range(flex.first_group, flex.first_group + len(flex.layout.used))
        used = sum(bits.bit_count() for bits in flex.layout.used)
        assert used + free == sum(geometry.group_blocks(group) for group in groups)
        layout = flex.layout
        tables = [range(start, start + geometry.table_blocks) for start in layout.inode_tables]
        for group, own in enumerate(layout.own):
            first = group * geometry.blocks_per_group
            span = range(first, first + geometry.blocks_per_group)
            others = [home for home in range(len(layout.own)) if home != group]
            bitmaps = [block for home in others for block in (layout.block_bitmaps[home], layout.inode_bitmaps[home])]
            ends = [block for home in others for block in (tables[home][0], tables[home][-1])]
            assert own == (not any(block in span for block in bitmaps + ends))


def test_backup_groups():
    geometry = choose_geometry(options(0), 32768 * 130, 11)
    assert sorted(geometry.backup_groups) == [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]


@pytest.mark.parametrize(
    ("blocks", "used"),
    [(32768 * 2, 32768 * 2), (32768 + 1, 32768), (32768 + 565, 32768), (32768 + 566, 32768 + 566)],
)
def test_last_group_is_left_out_if_it_is_too_small(blocks, used):
    assert choose_geometry(options(0, inode_count=16384), blocks, 11).blocks == used


def test_inodes_fill_their_tables():
    geometry = choose_geometry(options(0, inode_count=100), 32768 * 3, 11)
    assert (geometry.inodes_per_group, geometry.inodes, geometry.table_blocks) == (48, 144, 3)
    assert choose_geometry(options(0, inode_ratio=1 << 20), 1000, 500).inodes == 512


def test_wide_where_block_numbers_need_it():
    assert choose_geometry(options(0), 2**32 - 1, 11).descriptor_size == 32
    assert choose_geometry(options(0), 2**32, 11).descriptor_size == 64


def test_too_many_inodes_for_the_format():
    with pytest.raises(UserError, match="inodes are more than 4294967295; use a larger inode ratio, or a count"):
        choose_geometry(options(0, inode_ratio=4096), 2**33, 11)
