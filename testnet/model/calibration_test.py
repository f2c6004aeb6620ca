import pytest

from testnet.local.report import CONFIRMED, CURRENT, DOWNLOADED, FAILED, INSTALLED, STARTED, UPGRADED
from testnet.local.samples import record, report
from testnet.model.calibration import calibrated
from testnet.model.parameters import read
from tools.core.errors import UserError


def upgraded(name, *times):
    return record(name, UPGRADED, *zip((STARTED, DOWNLOADED, INSTALLED, CONFIRMED), times, strict=True))


def test_one_node_predicts_all():
    measured = calibrated(read(), report(upgraded("a", 0, 10, 30, 100), upgraded("b", 101, 112, 131, 205)))
    assert measured.nodes == 2
    assert measured.measured_seconds == 100 + 104
    assert measured.modelled_seconds == pytest.approx(200)
    assert (measured.parameters.install_seconds, measured.parameters.restart_seconds) == (20, 70)
    # What the report doesn't have stays as it is.
    assert measured.parameters.machines == read().machines


def test_other_results_do_not_count():
    nodes = [record("a", CURRENT, (STARTED, 0)), upgraded("b", 1, 2, 3, 4), record("c", FAILED, (STARTED, 4))]
    measured = calibrated(read(), report(*nodes))
    assert (measured.nodes, measured.measured_seconds) == (1, 3)


def test_the_last_run_with_an_upgraded_node_counts():
    runs = report(upgraded("a", 0, 1, 2, 3))
    runs.runs += report(upgraded("a", 0, 1, 2, 9)).runs + report(record("a", CURRENT)).runs
    assert calibrated(read(), runs).measured_seconds == 9


def test_a_report_without_times_is_an_error():
    with pytest.raises(UserError, match="the report has no node that was upgraded"):
        calibrated(read(), report(record("a", FAILED, (STARTED, 0))))
    with pytest.raises(UserError, match="the report lacks steps of a node"):
        calibrated(read(), report(record("a", UPGRADED, (STARTED, 0), (CONFIRMED, 5))))
