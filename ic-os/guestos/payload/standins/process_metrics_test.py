import re
import resource

import pytest

from standins import process_metrics
from standins.problems import StandInError


def test_the_values_are_those_of_this_process():
    found = dict(line.split(" ") for line in process_metrics.process_metrics().splitlines())
    assert int(found["process_threads"]) >= 1
    assert int(found["process_resident_memory_bytes"]) > 1 << 20
    assert int(found["process_open_fds"]) >= 3
    assert int(found["process_max_fds"]) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert all(re.fullmatch(r"[a-z_]+", name) for name in found)


@pytest.mark.parametrize("missing", ["stat", "statm", "limits", "fd"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, missing):
    for name in {"stat", "statm", "limits", "fd"} - {missing}:
        (tmp_path / name).symlink_to(f"/proc/self/{name}")
    monkeypatch.setattr(process_metrics, "_SELF", tmp_path)
    with pytest.raises(StandInError, match=f"{tmp_path}/{missing}: cannot be read: No such file or directory"):
        process_metrics.process_metrics()
