"""Two machines of the dev image: deployed by the command, upgraded under faults, all of it removed.

The machines are deployed once, since their boots take most of the time. The tests run in their order: each leaves both
machines up, the roll-outs that halt leave both systems as they were, those after the last one read its report, and the
last test removes the machines.
"""

import contextlib
import io
import itertools
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from guestos_tools.options import call
from testnet.local import machine, process, report, ssh
from testnet.local.observe import observe
from testnet.local.requirements import WRITTEN_BYTES, overhead_mib
from testnet.local.state import State
from testnet.local.waiting import wait_for
from testnet.tools import icos_deploy, icos_destroy, manage, model_rollout
from tools.testing.machines import emulator
from tools.testing.oracles import oracle

INVENTORY = """\
[nns]
two.0.0 ic_host="localhost"
[subnet_1]
two.1.1 ic_host="localhost"
[nodes:children]
nns
subnet_1
[physical_hosts]
localhost ansible_connection=local ic_cores=1 ic_memory_gb=1 ic_disk_gb=50
"""
SECONDS = 900
IMAGE = Path(os.environ.get("TESTNET_UPDATE", "bazel-bin/ic-os/guestos/dev/update-img-test.tar.zst"))
DATA = "/var/lib/ic/data"
FILL = f"""\
set -eu
systemctl stop monitor-expand-shared-data.timer
free=$(df --output=avail --block-size=1M {DATA} | tail -n 1)
fallocate --length "$((free - 8))M" {DATA}/fill
"""
FREE = f"rm {DATA}/fill && systemctl start monitor-expand-shared-data.timer"
INSTALLS = "sudo pgrep -f 'manageboot.sh upgrade-[i]nstall'"


class Fleet:
    """A deployment of two machines, and the commands for it.

    Attributes:
        state: files of the deployment.
        report: of all roll-outs.
        chart: a picture of the same.
    """

    def __init__(self, folder):
        env = folder / "env/two"
        env.mkdir(parents=True)
        (env / "hosts.ini").write_text(INVENTORY)
        self.env = env.parent
        self.state = State(folder / "state", "two")
        self.report = folder / "report.json"
        self.chart = folder / "chart.svg"

    def deploy(self):
        words = ["two", f"--env={self.env}", self._place, "--json", f"--timeout={SECONDS}"]
        return call(icos_deploy.PROGRAM, icos_deploy.main, words)

    def manage(self, action, *words):
        return call(manage.PROGRAM, manage.main, [action, "two", *words, self._place])

    def upgrade(self, image=IMAGE, timeout=SECONDS):
        """Rolls out an image; returns the exit status and the run of the report."""
        words = [f"--image={image}", f"--report={self.report}", f"--chart={self.chart}", f"--timeout={timeout}"]
        status = self.manage("upgrade", *words)
        return status, report.read(self.report).runs[-1]

    def destroy(self):
        return call(icos_destroy.PROGRAM, icos_destroy.main, ["two", self._place])

    def nodes(self):
        return self.state.deployed_nodes()

    def observe(self, number):
        """What a node is and sees: 0 for that of the root subnet, 1 for the other."""
        nodes = self.nodes()
        return observe(self.state, nodes[number], nodes)

    def run_as_root(self, node, script):
        result = ssh.run(self.state, node, ["sudo", "sh", "-s"], SECONDS, script=script)
        assert result.returncode == 0, result

    @property
    def _place(self):
        return f"--state={self.state.folder.parent}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    oracle("qemu-img")
    oracle("ssh")
    emulator()
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    yield fleet
    assert fleet.destroy() == 0


@pytest.fixture(scope="module")
def deployed(fleet):
    """The status of the machines after they were deployed; all tests need them."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert fleet.deploy() == 0
    return json.loads(output.getvalue())


@pytest.fixture(autouse=True)
def logs(fleet, artifacts):
    yield
    for log in fleet.state.folder.glob("*/*.log"):
        shutil.copyfile(log, artifacts / f"{log.parent.name}-{log.name}")
    for path in (fleet.report, fleet.chart):
        if path.exists():
            shutil.copyfile(path, artifacts / path.name)


def assert_unchanged(fleet, status):
    """Asserts that the second node runs the system that it had when it was deployed."""
    found = fleet.observe(1)
    assert found.lacks == ""
    assert (found.slot, found.version, found.answer["failed"]) == ("A", status["version"], [])


def assert_no_image(fleet):
    """Asserts that the second node kept nothing of an image that it did not install."""
    fleet.run_as_root(fleet.nodes()[1], f'test -z "$(ls {DATA}/images)"')


def assert_halted(status, run, problem):
    """Asserts that the roll-out stopped at its first node, and says why in one line."""
    assert (status, run.result) == (1, report.HALTED)
    first, second = run.nodes
    assert (first.name, first.result, first.steps[-1].what) == ("two.1.1", report.FAILED, report.FAILED)
    assert first.problem.startswith("two.1.1: ")
    assert problem in first.problem
    assert "\n" not in first.problem
    assert (second.name, second.result, second.steps) == ("two.0.0", report.NOT_TRIED, [])


def test_machines_see_each_other(fleet, deployed):
    first, second = deployed
    assert (first["sees"], second["sees"]) == (["two.1.1"], ["two.0.0"])
    assert [each["failed_units"] for each in (first, second)] == [[], []]
    assert [each["slot"] for each in (first, second)] == ["A", "A"]
    assert max(each["disk_mib"] for each in (first, second)) << 20 <= WRITTEN_BYTES

    # Each is reached by its name, and has the name and the address of the inventory.
    for node in fleet.nodes():
        command = "hostname; ip -6 -brief address show scope global"
        result = ssh.run(fleet.state, node, [command], SECONDS)
        assert result.stdout.splitlines()[0] == node.hostname, result
        assert node.address in result.stdout


def test_a_damaged_image_halts_the_roll_out(fleet, deployed, tmp_path):
    damaged = tmp_path / "damaged.tar.zst"
    shutil.copyfile(IMAGE, damaged)
    with damaged.open("r+b") as file:
        middle = damaged.stat().st_size // 2
        file.seek(middle)
        changed = bytes([file.read(1)[0] ^ 1])
        file.seek(middle)
        file.write(changed)
    assert_halted(*fleet.upgrade(damaged), "root.img is damaged: bytes ")
    assert_unchanged(fleet, deployed[1])
    assert_no_image(fleet)


def test_a_full_disk_halts_the_roll_out(fleet, deployed):
    node = fleet.nodes()[1]
    fleet.run_as_root(node, FILL)
    try:
        assert_halted(*fleet.upgrade(), "upgrade-install: exit status 23: curl: (23)")
    finally:
        fleet.run_as_root(node, FREE)
    assert_unchanged(fleet, deployed[1])
    assert_no_image(fleet)


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ("outside", "is not up within 1 s, so it is not upgraded"),
        ("link", "it sees no replica of the other nodes"),
    ],
)
def test_a_cut_link_halts_the_roll_out(fleet, deployed, card, problem):
    """The link that leads outwards, or the one between the nodes."""
    assert fleet.manage("unplug", "1.1", f"--card={card}") == 0
    try:
        assert_halted(*fleet.upgrade(timeout=1), problem)
    finally:
        assert fleet.manage("plug", "1.1", f"--card={card}") == 0
    assert wait_for(lambda: fleet.observe(1).sees(fleet.nodes()[0]), SECONDS)
    assert_unchanged(fleet, deployed[1])


def test_a_machine_that_does_not_come_back_in_time_halts_the_roll_out(fleet, deployed):
    first, second = fleet.nodes()

    def installs():
        return ssh.run(fleet.state, second, [INSTALLS], SECONDS).returncode == 0

    with ThreadPoolExecutor(1) as pool:
        rolled_out = pool.submit(fleet.upgrade, timeout=1)
        assert wait_for(lambda: rolled_out.done() or installs(), SECONDS)
        assert not rolled_out.done()
        assert fleet.manage("stop", "1.1", "--power-cut") == 0
        assert_halted(*rolled_out.result(), "is not up within 1 s, so it is not upgraded: its machine does not run")

    # The second machine is gone, and the first one goes on.
    assert fleet.manage("status") == 1
    found = fleet.observe(0)
    assert (found.is_up, found.sees(first), found.sees(second)) == (True, True, False)

    # It starts the system that it had, and the first one sees it again.
    assert fleet.deploy() == 0
    assert_unchanged(fleet, deployed[1])


def test_an_upgrade_goes_from_subnet_to_subnet(fleet, deployed, capfd):
    before = [each["version"] for each in deployed]
    status, run = fleet.upgrade()
    assert (status, run.result) == (0, report.FINISHED)
    assert [each.name for each in run.nodes] == ["two.1.1", "two.0.0"]
    assert run.version not in before
    assert run.sent >= 2 * run.size
    steps = [report.STARTED, report.DOWNLOADED, report.INSTALLED, report.COMMITTED, report.CONFIRMED]
    for node in run.nodes:
        assert (node.result, node.problem) == (report.UPGRADED, None)
        assert (node.before, node.after) == (f"{before[0]} in A", f"{run.version} in B")
        assert [step.what for step in node.steps] == steps
    # One node after the other.
    assert run.nodes[0].steps[-1].at <= run.nodes[1].steps[0].at

    # All is well after it, and nothing is left to do.
    capfd.readouterr()
    assert fleet.manage("status", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert [(each["slot"], each["version"], each["failed_units"]) for each in found] == [("B", run.version, [])] * 2
    # What emulation takes after some boots was reserved for it.
    assert max(each["memory_mib"] for each in found) <= fleet.nodes()[0].memory_mib + overhead_mib(emulated=True)
    status, run = fleet.upgrade()
    assert (status, [each.result for each in run.nodes]) == (0, [report.CURRENT] * 2)


def test_the_chart_shows_every_run(fleet, deployed):
    picture = ET.parse(fleet.chart)
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    bars = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}title")]
    runs = report.read(fleet.report).runs
    results = [f"two, run {number} of {len(runs)}: to version {run.version}, {run.result}"
               for number, run in enumerate(runs, 1)]  # fmt: skip
    assert [text for text in texts if text.startswith("two, run ")] == results
    for node, subnet in (("two.1.1", "subnet 1"), ("two.0.0", "root subnet")):
        assert texts.count(f"{node} ({subnet})") == len(runs)
    steps = [pair for run in runs for node in run.nodes for pair in itertools.pairwise(node.steps)]
    times = [f": {first.at:g} s to {second.at:g} s" for first, second in steps]
    assert [bar[bar.index(": ") :] for bar in bars if " s to " in bar] == times


def test_the_model_predicts_the_measured_roll_out(fleet, deployed, capfd):
    """By the times of the first node, the model has those of both."""
    capfd.readouterr()
    assert call(model_rollout.PROGRAM, model_rollout.main, [f"--report={fleet.report}", "--json"]) == 0
    compared = json.loads(capfd.readouterr().out)["report"]
    assert compared["nodes"] == 2
    run = next(run for run in reversed(report.read(fleet.report).runs) if run.nodes[0].result == report.UPGRADED)
    first, second = (node.steps[-1].at - node.steps[0].at for node in run.nodes)
    assert compared["modelled_seconds"] == pytest.approx(2 * first, rel=0.05)
    # Both machines do the same, but the host may do other things, for one of them more than for the other.
    assert compared["measured_seconds"] == pytest.approx(first + second, rel=0.01)
    assert 1 / 4 < first / second < 4


def test_nothing_is_left(fleet, deployed):
    pids = [*(machine.pid(fleet.state, node) for node in fleet.nodes()), process.find(fleet.state.link_pid)]
    assert None not in pids
    assert fleet.destroy() == 0
    assert [process.identify(pid) for pid in pids] == [None] * 3
    assert not fleet.state.folder.exists()
