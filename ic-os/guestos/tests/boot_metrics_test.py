import subprocess
from pathlib import Path

import pytest

ROOTFS = Path(__file__).parent.parent / "rootfs"
SCRIPT = ROOTFS / "opt/ic/bin/boot-metrics.sh"
OPERATOR_KEY = "guestos_node_operator_private_key_exists"


@pytest.fixture
def run(tmp_path):
    """Runs the script in a folder that takes the place of the root; returns its output, and the metrics by file."""
    for name, text in {
        "run/guestos/boot": "SLOT=B\nDISK=vda\nROOT_HASH=00ff\nBOOT_STATE=fallback\nTRUST=distribution",
        "opt/ic/share/version.txt": "1.2.3",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{text}\n")
    (tmp_path / "var/lib/ic/data").mkdir(parents=True)

    def run():
        done = subprocess.run([SCRIPT, tmp_path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        folder = tmp_path / "run/node_exporter/collector_textfile"
        return done.stdout, {path.name: path.read_text().splitlines() for path in folder.iterdir()}

    return run


def test_labels_of_the_boot(run):
    output, files = run()
    assert output == "<4>fell back to slot B: the other slot could not be started, or was not confirmed\n"
    assert files["guestos_boot_info.prom"] == [
        "# HELP guestos_boot_info Slot, boot reason and version of the running system.",
        "# TYPE guestos_boot_info gauge",
        'guestos_boot_info{slot="B",state="fallback",version="1.2.3"} 1',
    ]


def test_the_key_of_the_operator(run, tmp_path):
    key = tmp_path / "var/lib/ic/data/node_operator_private_key.pem"
    assert run()[1][f"{OPERATOR_KEY}.prom"][1:] == [f"# TYPE {OPERATOR_KEY} gauge", f"{OPERATOR_KEY} 0"]
    key.write_text("key\n")
    # Only its existence counts: the service has no right to read it.
    key.chmod(0)
    assert run()[1][f"{OPERATOR_KEY}.prom"][2] == f"{OPERATOR_KEY} 1"
    assert set(run()[1]) == {f"{OPERATOR_KEY}.prom", "guestos_boot_info.prom"}


def test_the_key_is_looked_for_where_the_first_boot_puts_it():
    unit = (ROOTFS / "etc/systemd/system/boot-metrics.service").read_text()
    assert "\nAfter=bootstrap-ic-node.service var-lib-ic-data.mount\n" in unit
