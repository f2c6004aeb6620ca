import pytest
from hypothesis import given
from hypothesis import strategies as st

from testnet.model.shared_link import SharedLink

RATES = st.floats(0.5, 1000)
DOWNLOADS = st.lists(st.tuples(st.floats(0, 100), st.floats(1, 10_000)), min_size=1, max_size=12)


def ends(capacity, machine_rate, downloads):
    """Returns the ends of downloads by the link, and the link."""
    link = SharedLink(capacity, machine_rate)
    found = {}
    for machine, (begin, size) in sorted(enumerate(downloads), key=lambda pair: pair[1][0]):
        while link.next_end() <= begin:
            at, done = link.end()
            found[done] = at
        link.begin(begin, machine, size)
    while len(link):
        at, done = link.end()
        found[done] = at
    return found, link


def reference(capacity, machine_rate, downloads):
    """Returns the ends of downloads, from what is left of each one."""
    left = dict(enumerate(size for _, size in downloads))
    begins = {machine: begin for machine, (begin, _) in enumerate(downloads)}
    now, found = 0.0, {}
    while left:
        active = [machine for machine in left if begins[machine] <= now]
        coming = [begins[machine] for machine in left if begins[machine] > now]
        rate = min(machine_rate, capacity / len(active)) if active else 0
        until = min([*coming, *(now + left[machine] / rate for machine in active)])
        for machine in active:
            left[machine] -= (until - now) * rate
            if left[machine] <= 1e-9 * downloads[machine][1]:
                del left[machine]
                found[machine] = until
        now = until
    return found


@given(RATES, RATES, DOWNLOADS)
def test_all_share_the_bandwidth_equally(capacity, machine_rate, downloads):
    found, link = ends(capacity, machine_rate, downloads)
    assert found == pytest.approx(reference(capacity, machine_rate, downloads), rel=1e-6)
    total = sum(size for _, size in downloads)
    assert link.sent == pytest.approx(total, rel=1e-6)
    assert sum(link.sent_by_minute.values()) == pytest.approx(total, rel=1e-6)
    assert max(link.sent_by_minute.values()) <= 60 * capacity * (1 + 1e-9)
    assert link.most_rate <= capacity * (1 + 1e-9)


def test_one_download_has_the_rate_of_its_machine():
    found, link = ends(1000, 10, [(5, 200)])
    assert (found, link.busy_seconds, link.most_at_once) == ({0: 25.0}, 0, 1)


def test_the_server_is_the_limit_of_many():
    found, link = ends(100, 10, [(0, 50)] * 20)
    assert found == pytest.approx(dict.fromkeys(range(20), 10.0))
    assert (link.busy_seconds, link.most_at_once, link.most_rate) == (pytest.approx(10), 20, pytest.approx(100))
