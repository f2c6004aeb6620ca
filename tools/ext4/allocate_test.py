import pytest

from tools.ext4.allocate import Allocator, block_numbers


def test_takes_from_the_lowest_run_on():
    allocator = Allocator([(10, 5), (20, 2), (30, 100)], 130)
    assert allocator.take(3) == [(10, 3)]
    assert allocator.take(2) == [(13, 2)]
    assert allocator.take(5) == [(20, 2), (30, 3)]
    assert (allocator.taken, allocator.position, allocator.shortfall) == (10, 33, 0)
    assert allocator.rest() == [(33, 97)]


def test_whole_runs_leave_free_blocks_behind():
    allocator = Allocator([(10, 5), (20, 2), (30, 100)], 130)
    assert allocator.take(1) == [(10, 1)]
    assert allocator.take_whole(10) == 30
    assert allocator.rest() == [(11, 4), (20, 2), (40, 90)]


@pytest.mark.parametrize(("count", "shortfall"), [(7, 0), (8, 1), (1000, 993)])
def test_shortfall(count, shortfall):
    allocator = Allocator([(10, 5), (20, 2)], 30)
    allocator.take(count)
    assert allocator.shortfall == shortfall


def test_block_numbers():
    assert block_numbers([(3, 2), (9, 1)]) == [3, 4, 9]
