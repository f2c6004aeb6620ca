import sys

import pytest

from testnet.local import ssh
from testnet.local.state import State
from tools.core.errors import UserError
from tools.testing.oracles import ask


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "a b", "net")
    state.make()
    state.ssh_folder.mkdir()
    return state


def test_the_key_is_made_once(state):
    line = ssh.write_key(state)
    assert line.startswith("ssh-ed25519 AAAA")
    assert line.endswith(" testnet-net\n")
    assert ssh.write_key(state) == line
    private = state.ssh_folder / "id_ed25519"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")


def test_the_configuration(state, nodes):
    text = ssh.config(state, nodes)
    assert text.count("Host net") == 4
    assert "Host net.2.2 net-2-2\n    HostName 127.0.0.1\n    Port 40020\n    User admin\n" in text
    assert f'    IdentityFile "{state.ssh_folder}/id_ed25519"\n' in text


def test_a_path_that_cannot_be_quoted_is_an_error(tmp_path, nodes):
    with pytest.raises(UserError, match="OpenSSH takes no such path"):
        ssh.config(State(tmp_path / 'a"b', "net"), nodes)


def test_openssh_reads_the_configuration(state, nodes):
    ssh.write_config(state, nodes)
    known = ask("ssh", "-G", "-F", state.ssh_folder / "config", "net.x.3")
    lines = known.splitlines()
    assert "port 40030" in lines
    assert "user admin" in lines
    assert f"identityfile {state.ssh_folder}/id_ed25519" in lines
    assert f"userknownhostsfile {state.ssh_folder}/known_hosts" in lines
    assert "hostkeyalias net.x.3" in lines
    assert "serveraliveinterval 20" in lines  # so that a session ends when its cable is cut


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    """Puts a program named ssh in front of the others, with the given Python code."""

    def put(code):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(f"#!{sys.executable}\n{code}")
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


def test_a_command_with_its_input(state, nodes, fake_ssh):
    fake_ssh("import sys; print(sys.argv[-2:], sys.stdin.read(), end=''); sys.exit(3)")
    result = ssh.run(state, nodes[0], ["sh", "-s"], 60, script="echo x")
    assert (result.returncode, result.stdout) == (3, "['sh', '-s'] echo x")


def test_an_answer_that_is_no_text(state, nodes, fake_ssh):
    fake_ssh("import sys; sys.stdout.buffer.write(b'a\\xff')")
    assert ssh.run(state, nodes[0], ["x"], 60).stdout == "a\N{REPLACEMENT CHARACTER}"


def test_no_answer_in_time(state, nodes, fake_ssh):
    fake_ssh("import signal; signal.pause()")
    result = ssh.run(state, nodes[0], ["true"], 0.2)
    assert (result.returncode, result.stderr) == (255, "no answer within 0.2 s")


def test_ssh_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"ssh: not found; install it \(Debian: openssh-client\)"):
        ssh.find_ssh()
