import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from guestos_tools.options import call
from testnet.inventory.deployment import build
from testnet.inventory.sample_inventory import ONE_HOST, TEXT
from testnet.local import deploy, machine
from testnet.local.observe import Observation
from testnet.local.report import (
    CONFIRMED,
    CURRENT,
    FAILED,
    STARTED,
    UPGRADED,
    Record,
    Report,
    Run,
    Step,
    read,
    write,
)
from testnet.local.samples import REPORT, disk
from testnet.local.state import PORTS, State, planned
from testnet.tools import draw_rollout, icos_deploy, icos_destroy, inventory, manage, model_rollout

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 somebody"


@pytest.fixture
def env(tmp_path, monkeypatch):
    monkeypatch.delenv("HOSTS_INI_FILENAME", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "env"
    (folder / "net").mkdir(parents=True)
    (folder / "net/hosts.ini").write_text(ONE_HOST)
    (folder / "net/other.ini").write_text(TEXT)
    return folder


@pytest.fixture
def called(env, capfd, tmp_path):
    """Calls a command; returns its exit status, output and messages."""

    def called(command, *words):
        with_state = [*words, f"--state={tmp_path}/state"]
        if command is not icos_destroy and command is not manage:
            with_state.append(f"--env={env}")
        status = call(command.PROGRAM, command.main, with_state)
        return status, *capfd.readouterr()

    return called


def test_forms_of_the_inventory(called):
    status, output, _ = called(inventory, "net", "--list")
    assert status == 0
    assert json.loads(output)["nodes"]["children"] == ["nns", "subnet_2", "subnet_unassigned"]
    assert len(called(inventory, "net", "--nodes")[1].splitlines()) == 4
    assert json.loads(called(inventory, "net", "--media-json")[1])["deployment"] == "net"
    assert json.loads(called(inventory, "net", "--host", "net.0.0")[1])["node_index"] == 0
    assert called(inventory, "net", "--ssh-config")[1].count("HostName fd") == 4


def test_another_file(called, monkeypatch):
    addresses = called(inventory, "net", "--nodes", "--hosts-ini=other.ini")[1]
    assert "net.0.1: '2001:db8::5'" in addresses
    monkeypatch.setenv("HOSTS_INI_FILENAME", "other.ini")
    assert called(inventory, "net", "--nodes")[1] == addresses


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (inventory, ["net"], "one of the arguments --list --host --nodes --media-json --ssh-config is required"),
        (inventory, ["net", "--host=h9", "--media-json"], "not allowed with argument"),
        (inventory, ["net", "--host=h9"], "--host: h9: is neither a node nor a physical host"),
        (inventory, ["none", "--list"], "env/none; deployments are net\n"),
        (inventory, ["..", "--list"], "..: there is no folder"),
        (inventory, ["net", "--list", "--hosts-ini=no.ini"], "no.ini: cannot be read: No such file"),
        (icos_deploy, ["net"], "--disk: is missing"),
        (icos_deploy, ["net", "--disk=x", "--hosts-ini=other.ini"], "net.0.1: runs on h2"),
        (icos_deploy, ["net", "--disk=x", "--ssh-key=none"], "--ssh-key: none: cannot be read: No such file"),
        (icos_deploy, ["net", "--disk=x", "--timeout=nan"], "'nan' is not a number of seconds from 0 to 1000000"),
        (manage, ["stop", "net", "--timeout=inf"], "'inf' is not a number of seconds"),
        (icos_deploy, ["net", "--disk=x", "--git-revision=y"], "unrecognized arguments: --git-revision=y"),
        (icos_destroy, ["../x"], "'../x' is not the name of a deployment"),
        (icos_destroy, [".."], "'..' is not the name of a deployment"),
        (manage, ["status", "net"], "net: is not deployed here; start it with icos_deploy"),
        (manage, ["stop", "net"], "net: is not deployed here"),
        (manage, ["upgrade", "net", "--image=x"], "net: is not deployed here"),
        (manage, ["logs", "net", "0.0"], "net: is not deployed here"),
        (manage, ["console", "net", "0.0"], "net: is not deployed here"),
        (manage, ["upgrade", "net"], "the following arguments are required: --image"),
        (manage, ["unplug", "net", "0.0", "--card=x"], "argument --card: invalid choice: 'x'"),
        (manage, ["dance", "net"], "invalid choice: 'dance'"),
    ],
)
def test_errors_are_one_line(called, command, words, message):
    status, output, errors = called(command, *words)
    assert (status, output) == (2, "")
    assert errors.startswith(f"{command.PROGRAM}: error: ")
    assert message in errors
    assert errors.count("\n") == 1


def test_a_folder_without_deployments(env, capfd):
    assert call(inventory.PROGRAM, inventory.main, ["net", "--list", "--env=nowhere"]) == 2
    message = "inventory: error: net: there is no folder nowhere/net; nowhere has no deployments\n"
    assert capfd.readouterr() == ("", message)


def test_a_dry_run_starts_nothing(called, tmp_path, monkeypatch):
    (tmp_path / "disk.img").write_bytes(disk())
    (tmp_path / "key.pub").write_text(KEY)
    monkeypatch.setattr(deploy, "check_programs", lambda: None)
    status, _, errors = called(icos_deploy, "net", f"--disk={tmp_path}/disk.img", "-n", "--ssh-key=key.pub")
    assert (status, errors) == (0, "net: can be deployed, with 4 machines\n")
    assert not (tmp_path / "state").exists()


def test_destroying_nothing_is_no_error(called):
    assert called(icos_destroy, "net") == (0, "", "net: is not deployed here\n")


@pytest.fixture
def deployed(called, state_of, nodes, monkeypatch):
    with state_of.locked():
        state_of.write_nodes(nodes)
    return state_of


@pytest.fixture
def state_of(tmp_path):
    return State(tmp_path / "state", "net")


@pytest.fixture
def nodes():
    found = planned(build(ONE_HOST, "hosts.ini", "net"))
    return [dataclasses.replace(node, ports=dict.fromkeys(PORTS, 40000)) for node in found]


def test_the_status_of_stopped_machines(called, deployed):
    status, output, errors = called(manage, "status", "net")
    assert (status, errors) == (1, "")
    assert output.count("stopped") == 4
    objects = json.loads(called(manage, "status", "net", "--json")[1])
    assert [each["up"] for each in objects] == [False] * 4


def test_a_link_that_ended_is_told(called, deployed, monkeypatch):
    monkeypatch.setattr(manage, "observe_all", lambda _, nodes: [Observation(node, running=True) for node in nodes])
    assert "the link has ended, so no node sees another one" in called(manage, "status", "net")[2]


def test_logs_print_the_console(called, deployed, nodes):
    folder = deployed.node_folder(nodes[2])
    folder.mkdir()
    (folder / machine.CONSOLE_LOG).write_text("Debian\n")
    with pytest.raises(SystemExit) as end:
        called(manage, "logs", "net", "2.2")
    assert end.value.code == 0


def test_names_of_nodes(called, deployed):
    status, _, errors = called(manage, "stop", "net", "7.7")
    assert (status, errors.count("\n")) == (2, 1)
    assert "7.7: is no node of net; there are net.0.0, net.0.1, net.2.2, net.x.3" in errors


class RollOut:
    """Takes the place of a roll-out: each call has the next of some results."""

    def __init__(self, *results):
        self.results = list(results)

    def __call__(self, _state, nodes, _image, _limits, _say, *, save):
        run = Run(began="2026-01-01T00:00:00Z", version="2.0", sha256="", size=1, tolerate=0)
        run.nodes = [Record(name=each.name, subnet="a subnet", steps=[Step(STARTED, 0.5)]) for each in nodes]
        save(run)
        for record, result in zip(run.nodes, self.results.pop(0), strict=True):
            record.result = result
            record.steps.append(Step(CONFIRMED, 1.5))
        save(run)
        return run


def test_an_upgrade_is_reported(called, deployed, monkeypatch, tmp_path):
    monkeypatch.setattr(manage, "roll_out", RollOut([UPGRADED, FAILED], [CURRENT, UPGRADED]))
    words = ["upgrade", "net", "0.0", "0.1", "net.0.1", "--image=x", "--report=r 1.json", "--chart=c.svg"]
    assert called(manage, *words)[0] == 1
    first = (tmp_path / "c.svg").read_text()
    assert called(manage, *words) == (0, "", "")
    report = read(tmp_path / "r 1.json")
    assert [[each.result for each in run.nodes] for run in report.runs] == [[UPGRADED, FAILED], [CURRENT, UPGRADED]]
    # The picture is made of the report alone.
    second = (tmp_path / "c.svg").read_text()
    assert second.count("net, run ") == first.count("net, run ") + 1 == 2
    assert call(draw_rollout.PROGRAM, draw_rollout.main, ["r 1.json", "again.svg"]) == 0
    assert (tmp_path / "again.svg").read_text() == second


def test_a_report_that_cannot_be_continued_or_written_stops_an_upgrade(called, deployed, monkeypatch, tmp_path):
    monkeypatch.setattr(manage, "roll_out", RollOut([UPGRADED] * 4))
    (tmp_path / "text").write_text("text")
    for words, message in {
        ("--report=text",): "text: is not the report of a roll-out",
        ("--report=none/r.json",): "none/r.json: cannot be written: No such file",
        ("--chart=none/c.svg",): "none/c.svg: cannot be written: No such file",
        ("--timeout=nan",): "'nan' is not a number of seconds from 0 to 1000000",
        ("--timeout=-1",): "'-1' is not a number of seconds",
        ("--tolerate=-1",): "'-1' is not a number of nodes: 0 or more",
    }.items():
        status, output, errors = called(manage, "upgrade", "net", "--image=x", *words)
        assert (status, output, errors.count("\n")) == (2, "", 1)
        assert message in errors
    assert manage.roll_out.results == [[UPGRADED] * 4], "a node was upgraded"


def test_a_report_of_another_deployment_is_not_continued(called, deployed, tmp_path):
    write(tmp_path / "r.json", Report(deployment="other"))
    status, _, errors = called(manage, "upgrade", "net", "--image=x", "--report=r.json")
    assert (status, errors.count("\n")) == (2, 1)
    assert "r.json: is the report of other; give another --report" in errors


def test_a_roll_out_is_modelled(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "r.json", REPORT)
    words = ["--set=machines=300", "--set", "defects=0", "--stages=0.1:60,1:0", "--report=r.json", "--chart=c.svg"]
    assert call(model_rollout.PROGRAM, model_rollout.main, words) == 0
    text = capfd.readouterr().out
    assert "300 of 300 machines confirmed, 0 fell back\n" in text
    assert (
        "report: 1 nodes one after the other took 100.0 s; the model, with the times of the first one, has 100.0"
        in text
    )
    assert (tmp_path / "c.svg").read_text().startswith("<svg ")
    assert call(model_rollout.PROGRAM, model_rollout.main, [*words, "--json"]) == 0
    value = json.loads(capfd.readouterr().out)
    assert (value["confirmed"], value["halted"], len(value["stage_starts"])) == (300, None, 2)
    assert value["report"] == {"nodes": 1, "measured_seconds": 100.0, "modelled_seconds": 100.0}
    halted = ["--set=machines=300", "--set=defects=1"]
    assert call(model_rollout.PROGRAM, model_rollout.main, halted) == 0
    assert " 50.0% confirmed: never\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--set=colour=1", "colour: is no parameter"),
        ("--set=defects", "'defects' is not NAME=NUMBER"),
        ("--set=defects=nan", "defects: nan is not a number of 0 or more"),
        ("--stages=1", "'1' is not SHARE:SECONDS,SHARE:SECONDS,..."),
        ("--stages=0.5:1", "stages: their shares must grow, from more than 0 to 1"),
        ("--parameters=none", "none: cannot be read: No such file"),
        ("--report=none", "none: cannot be read: No such file"),
        ("--chart=none/c.svg", "none/c.svg: cannot be written"),
    ],
)
def test_a_model_of_something_else(tmp_path, monkeypatch, capfd, word, message):
    monkeypatch.chdir(tmp_path)
    assert call(model_rollout.PROGRAM, model_rollout.main, ["--set=machines=10", word]) == 2
    output, errors = capfd.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert message in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ssh", "--state=state", "net", "0.0"], "net.0.0: does not run; start it with icos_deploy"),
        (["logs", "net", "0.0", "--journal"], "net.0.0: does not run; start it with icos_deploy"),
        (["unplug", "net", "0.0"], "net.0.0: does not run; start it with icos_deploy"),
        (["logs", "net", "0.0"], "net.0.0: has no log, since it has never started"),
        (["console", "net", "0.0"], "net.0.0: does not run; start it with icos_deploy"),
        (
            ["upgrade", "net", "--image=x"],
            "net.2.2, net.x.3: does not run; start it with icos_deploy",
        ),
    ],
)
def test_machines_that_do_not_run(called, deployed, words, message):
    status, _, errors = called(manage, *words)
    assert (status, errors.count("\n")) == (2, 1)
    assert message in errors


def test_paths_are_those_of_the_folder_that_bazel_was_called_in(called, tmp_path, monkeypatch, capfd):
    folder = tmp_path / "a folder"
    (folder / "env/net").mkdir(parents=True)
    (folder / "env/net/hosts.ini").write_text(ONE_HOST)
    (folder / "disk.img").write_bytes(disk())
    monkeypatch.setattr(deploy, "check_programs", lambda: None)
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(folder))
    words = ["net", "--env=env", "--disk=disk.img", "--state=state", "-n"]
    assert call(icos_deploy.PROGRAM, icos_deploy.main, words) == 0
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path / "gone"))
    assert call(icos_deploy.PROGRAM, icos_deploy.main, words) == 2
    assert capfd.readouterr().err.splitlines()[-1].endswith("gone: No such file or directory")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "empty: has no GUID partition table"),
        ("text", "text: has no GUID partition table"),
        ("image.tar.zst", "image.tar.zst: is compressed"),
        ("folder", "folder: is a directory"),
        ("none", "none: cannot be read: No such file"),
    ],
)
def test_a_disk_that_is_none(called, tmp_path, monkeypatch, name, message):
    monkeypatch.setattr(deploy, "check_programs", lambda: None)
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("text")
    (tmp_path / "image.tar.zst").write_bytes(zstandard.compress(bytes(1024)))
    (tmp_path / "folder").mkdir()
    status, output, errors = called(icos_deploy, "net", f"--disk={name}", "--no-wait")
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "program", ["draw_rollout", "icos_deploy", "icos_destroy", "inventory", "manage", "model_rollout"]
)
def test_help(program):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, ROOT / f"testnet/tools/{program}.py", "--help"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"usage: {program} ")
