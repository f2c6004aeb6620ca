import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testnet.model.parameters import changed, read
from testnet.model.simulation import FALLBACKS, NO_QUORUM, simulate

DEFAULTS = read()
CERTAIN = {
    "poll_seconds": 0,
    "spread": 0,
    "failures_per_year": 0,
    "power_cuts_per_year": 0,
    "broken_downloads": 0,
    "defects": 0,
    "image_bytes": 1000,
    "machine_rate": 50,
    "server_rate": 1e9,
    "install_seconds": 30,
    "restart_seconds": 40,
}
"""Without chance: a machine alone takes 20 s for the download, and 90 s in all."""
ALL = [(1, 0)]


def certain(stages=ALL, **values):
    return changed(DEFAULTS, {**CERTAIN, **values}, stages)


def test_one_machine_takes_the_sum_of_its_phases():
    result = simulate(certain(machines=1))
    assert result.confirmed == [20 + 30 + 40]
    assert (result.sent, result.attempts, result.most_downloads) == (1000, 1, 1)


def test_one_after_the_other():
    result = simulate(certain(machines=5, at_once=1))
    assert result.confirmed == pytest.approx([90, 180, 270, 360, 450])
    assert result.most_downloads == 1


def test_all_at_once_take_as_long_as_one_if_the_server_can():
    assert simulate(certain(machines=1000, server_rate=1000 * 50)).confirmed == pytest.approx([90] * 1000)


def test_the_bandwidth_is_a_lower_bound_that_is_reached():
    result = simulate(certain(machines=1000, server_rate=5000))
    assert result.time_to(1) == pytest.approx(1000 * 1000 / 5000 + 70)
    assert result.most_rate == pytest.approx(5000)
    assert result.busy_seconds == pytest.approx(200)


def test_machines_ask_within_an_interval_and_its_half_on_average():
    result = simulate(certain(machines=20_000, poll_seconds=300))
    assert 90 < result.confirmed[0] < 91
    assert 389 < result.confirmed[-1] < 390
    assert sum(result.confirmed) / 20_000 == pytest.approx(90 + 150, rel=0.02)
    assert result.polls_per_second == pytest.approx(20_000 / 300)


def test_the_spread_is_around_the_median():
    result = simulate(certain(machines=20_001, spread=0.5, restart_seconds=0))
    assert result.confirmed[10_000] == pytest.approx(20 + 30, rel=0.02)


VALUES = st.fixed_dictionaries(
    {
        "machines": st.integers(1, 300),
        "server_rate": st.floats(50, 1e5),
        "poll_seconds": st.sampled_from([0, 300]),
        "spread": st.sampled_from([0, 0.3]),
        "failures_per_year": st.sampled_from([0, 10, 1000]),
        "power_cuts_per_year": st.sampled_from([0, 1000, 100_000]),
        "broken_downloads": st.sampled_from([0, 0.3]),
        "defects": st.sampled_from([0, 0.01, 0.3]),
        "at_once": st.sampled_from([0, 1, 20]),
        "quorum": st.sampled_from([0, 0.5, 1]),
    }
)
STAGES = st.sampled_from([ALL, [(0.01, 3600), (1, 0)], [(0.1, 0), (0.5, 10_000), (1, 100)]])


@settings(deadline=None)
@given(VALUES, STAGES, st.integers(0, 5))
def test_nothing_is_lost(values, stages, seed):
    parameters = certain(stages, **values)
    result = simulate(parameters, seed)
    done = len(result.confirmed) + result.fallbacks
    # Each download that began ended in a confirmation, in a fallback, or in another try.
    assert result.attempts == done + result.retries
    assert result.sent == pytest.approx(1000 * result.attempts)
    assert sum(result.sent_by_minute.values()) == pytest.approx(result.sent)
    assert (done == values["machines"]) if result.halted is None else (done <= values["machines"])
    assert result.confirmed == sorted(result.confirmed)
    assert all(at >= 20 for at in result.confirmed)
    assert result.most_rate <= parameters.server_rate * (1 + 1e-9)
    assert result.most_downloads <= (values["at_once"] or values["machines"])
    for (first, second), stage in zip(itertools.pairwise(result.stage_starts), parameters.stages, strict=False):
        assert second >= first + stage.soak_seconds
        # Until the next stage opened, only machines of the stages before had upgraded.
        assert sum(at < second for at in result.confirmed) <= stage.share * values["machines"] + 1
    assert simulate(parameters, seed) == result


def test_a_defect_halts_the_first_stage():
    stages = [(0.1, 3600), (1, 0)]
    result = simulate(certain(stages, machines=1000, defects=1, halt_least=10))
    assert (result.halt_reason, result.halted, result.stage_starts) == (FALLBACKS, 90, [0])
    assert (result.fallbacks, result.confirmed) == (100, [])
    assert result.time_to(0.01) is None


def test_fallbacks_halt_at_their_share():
    result = simulate(certain(machines=1000, defects=0.1, halt_share=0.05, halt_least=5, at_once=1))
    tried = len(result.confirmed) + result.fallbacks
    assert result.halt_reason == FALLBACKS
    assert result.fallbacks > 0.05 * tried
    assert result.fallbacks - 1 <= max(4, 0.05 * (tried - 1))
    assert simulate(certain(machines=1000, defects=0.1, halt_share=0.5, halt_least=5)).halted is None


def test_too_few_confirmations_halt_at_the_end_of_the_patience():
    stages = [(0.5, 100), (1, 0)]
    values = {"machines": 100, "defects": 0.5, "halt_share": 1, "patience_seconds": 5000, "quorum": 0.9}
    result = simulate(certain(stages, **values))
    assert (result.halt_reason, result.halted, result.stage_starts) == (NO_QUORUM, 5000, [0])
    assert len(result.confirmed) + result.fallbacks == 50
    # A soak time that is longer than the patience is no lack of confirmations.
    assert simulate(certain([(0.5, 9000), (1, 0)], **{**values, "defects": 0})).stage_starts == [0, 9000]


def test_the_next_stage_opens_when_the_quorum_is_there():
    result = simulate(certain([(0.5, 0), (1, 0)], machines=100, quorum=0.8, at_once=1))
    assert result.stage_starts == pytest.approx([0, 40 * 90])


def test_failures_delay_the_last_machines():
    result = simulate(certain(machines=10_000, failures_per_year=365.25, repair_seconds=86_400))
    # A machine is away for half of the time.
    assert sum(at == 90 for at in result.confirmed) == pytest.approx(5000, rel=0.05)
    late = [at - 90 for at in result.confirmed if at > 90]
    assert sum(late) / len(late) == pytest.approx(86_400, rel=0.05)


def test_power_cuts_lead_to_another_try():
    per_try = 90 / (365.25 * 86_400)
    result = simulate(certain(machines=10_000, power_cuts_per_year=0.1 / per_try, power_cut_seconds=0))
    # 1 - exp(-0.1) of all tries.
    assert result.retries / result.attempts == pytest.approx(0.0952, rel=0.1)
    assert len(result.confirmed) == 10_000


def test_the_default_parameters_at_a_tenth_of_their_size():
    result = simulate(changed(DEFAULTS, {"machines": 10_000}, None))
    assert result.halted is None
    assert 12 * 3600 < result.time_to(0.99) < 13 * 3600
