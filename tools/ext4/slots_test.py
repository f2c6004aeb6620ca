from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.ext4.slots import Claim, key_of, place, stepped

CLAIMS = st.lists(
    st.builds(Claim, key=st.integers(0, 2**64 - 1), count=st.integers(1, 40), owner=st.just(0)), max_size=60
)


def total(claims):
    return sum(claim.slot_size for claim in claims)


@settings(deadline=None, derandomize=True)
@given(CLAIMS)
def test_places_do_not_overlap(claims):
    units = 2 * total(claims) + 100
    end = 0
    for claim, start in sorted(place(claims, units), key=lambda placed: placed[1]):
        assert start >= end
        end = start + claim.count
    assert end <= units


@settings(deadline=None, derandomize=True)
@given(CLAIMS, st.randoms(use_true_random=False))
def test_places_do_not_depend_on_the_order(claims, chance):
    expected = sorted(place(claims, 10000), key=str)
    chance.shuffle(claims)
    assert sorted(place(claims, 10000), key=str) == expected


def test_one_more_claim_moves_few():
    claims = [Claim(key_of(b"%d" % number), 1 + number % 16, number) for number in range(1000)]
    before = dict(place(claims, 8 * total(claims)))
    moves = []
    for number in range(200):
        more = [*claims, Claim(key_of(b"new %d" % number), 1 + number % 16, 1000)]
        after = dict(place(more, 8 * total(claims)))
        moves.append(sum(after[claim] != start for claim, start in before.items()))
    assert max(moves) <= 4
    assert sum(moves) <= 40


def test_growth_moves_few():
    claims = [Claim(key_of(b"%d" % number), 1 + number % 16, number) for number in range(300)]
    before = dict(place(claims, 16 * total(claims)))
    moves = []
    for index, claim in enumerate(claims):
        grown = replace(claim, count=claim.count + 5)
        after = dict(place([*claims[:index], grown, *claims[index + 1 :]], 16 * total(claims)))
        moves.append(
            (after.pop(grown) != before[claim]) + sum(before[other] != start for other, start in after.items())
        )
    assert max(moves) <= 6
    assert sum(moves) <= 60


def test_growth_inside_of_a_slot_moves_nothing():
    claims = [Claim(key_of(b"%d" % number), 33, number) for number in range(300)]
    grown = [replace(claim, count=36) for claim in claims]
    found = {claim.owner: start for claim, start in place(claims, 40000)}
    assert {claim.owner: start for claim, start in place(grown, 40000)} == found


def test_a_few_more_units_move_few():
    claims = [Claim(key_of(b"%d" % number), 1, number) for number in range(1000)]
    before, after = dict(place(claims, 9 * 1024)), dict(place(claims, 10 * 1024))
    assert sum(after[claim] != start for claim, start in before.items()) < 200


def test_no_place():
    assert place([Claim(0, 3, 0), Claim(2, 3, 1)], 6) is not None
    assert place([Claim(0, 3, 0), Claim(2, 3, 1)], 5) is None
    assert place([Claim(1, 9, 0)], 8) is None


def test_steps():
    assert [stepped(number) for number in (0, 1, 15, 16, 17, 33, 300, 70000)] == [0, 1, 15, 16, 18, 36, 320, 73728]
    for number in range(1, 5000):
        assert number <= stepped(number) <= number * 9 / 8 + 1
