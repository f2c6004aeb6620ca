"""Tests the firewall with nft and the kernel: in namespaces of their own, with the accounts of the system."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import json5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.rootfs.accounts import Databases, merge
from tools.rootfs.sysusers import parse_sysusers
from tools.testing.oracles import oracle, unavailable

ROOTFS = Path(__file__).parents[1] / "rootfs"
INITIAL = ROOTFS / "opt/ic/share/nftables.conf"
LOADED = ROOTFS / "etc/nftables.conf"
RULES = "/run/ic-node/nftables-ruleset/nftables.conf"
"""The path of the orchestrator's rule set."""

UNITS = ROOTFS / "etc/systemd/system"
PREFIXES = {4: "203.0.113.0/24,198.51.100.7", 6: "2001:db8::/32,::ffff:5.5.5.5"}


def rule(family, ports, action="accept", user="", protocol="tcp"):
    """Returns a rule in the form that the orchestrator gives it."""
    word, direction = ("ip6" if family == 6 else "ip"), ("daddr" if user else "saddr")
    owner = f"meta skuid {user} " if user else ""
    state = "ct state { new } " if protocol == "tcp" else ""
    numbers = ",".join(map(str, ports))
    addresses = PREFIXES[family]
    return f"{owner}{word} {direction} {{{addresses}}} {state}{protocol} dport {{{numbers}}} {action} # comment of it"


def limits(family):
    """Returns the sets of later releases, and the rules that use them."""
    kind, word = ("ipv6_addr", "ip6") if family == 6 else ("ipv4_addr", "ip")
    sets = "".join(
        f"  set {name} {{\n    type {kind}\n    size 65535\n    flags dynamic\n  }}\n"
        for name in ("rate_limit", "connection_limit")
    )
    rate = f"add @rate_limit {{ {word} saddr limit rate over 1000/minute burst 500 packets }}"
    count = f"add @connection_limit {{ {word} saddr ct count over 100 }}"
    return sets, [f'ct state new {rate} log prefix "Drop - rate limit: " drop', f"ct state new {count} drop"]


def rule_set(rules, outgoing=(), *, flush=False, limited=False, invalid=False):
    """Returns a rule set in the form of the orchestrator's, with both tables."""
    text = "flush ruleset\n" if flush else ""
    for family in (4, 6):
        word = "icmpv6" if family == 6 else "icmp"
        sets, extra = limits(family) if limited else ("", [])
        lines = ["iif lo accept", "ct state { invalid } drop", "ct state { established, related } accept", *extra]
        lines += [f"{word} type echo-request accept", f"{word} type parameter-problem accept"]
        lines += ["icmpv6 type nd-neighbor-solicit accept"] if family == 6 else []
        lines += rules(family)
        table = "ip6 filter" if family == 6 else "filter"
        text += f"table {table} {{\n{sets}  chain INPUT {{\n    type filter hook input priority 0; policy drop;\n"
        text += "\n".join(lines) + "\n  }\n"
        text += "  chain FORWARD {\n    type filter hook forward priority 0; policy drop;\n  }\n"
        text += "  chain OUTPUT {\n    type filter hook output priority 0; policy accept;\n"
        text += "\n".join([*outgoing, rule(family, [22, 8080], "reject", "ic-http-adapter")]) + "\n  }\n}\n"
    return text + ("table broken {" if invalid else "")


class Machine:
    """Runs nft in a network namespace, with the accounts of the system as /etc/passwd."""

    def __init__(self, folder):
        self.rules, self.entry = folder / "rules" / "nftables.conf", folder / "nftables.conf"
        self.rules.parent.mkdir()
        self.entry.write_text(LOADED.read_text().replace(RULES, str(self.rules)))
        self.passwd = folder / "passwd"
        self.passwd.write_text(databases().passwd)

    def load(self, *files, check=True, command="nft -f"):
        """Loads files one after the other in an empty namespace; returns the rule set, and what nft reports.

        Args:
            files: paths.
            check: whether a report is a failure.
            command: loads the last file.
        """
        oracle("nft")
        unshare = [oracle("unshare"), "--map-root-user", "--mount", "--net"]
        *first, last = files
        steps = " ; ".join([*(f"nft -f {file}" for file in first), f"{command} {last}"])
        script = f"mount --bind {self.passwd} /etc/passwd && {{ {steps}; nft -j list ruleset; }}"
        environment = os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
            unavailable("namespaces for an unprivileged user are not permitted here")
        done = subprocess.run(
            [*unshare, "sh", "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert not (check and done.stderr), done.stderr
        return json.loads(done.stdout)["nftables"], done.stderr


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def databases():
    debian = Databases(
        passwd="root:x:0:0:root:/root:/bin/bash\nbackup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n",
        group="root:x:0:\nbackup:x:34:\nsudo:x:27:\nsystemd-journal:x:999:\n",
        shadow="",
        gshadow="",
    )
    text = (ROOTFS / "usr/lib/sysusers.d/guestos.conf").read_text()
    return merge(debian, parse_sysusers(text, "guestos.conf"), {}, "guestos.conf")


def tables(rules):
    return {(each["table"]["family"], each["table"]["name"]) for each in rules if "table" in each}


def base_chains(rules):
    """Returns hook and policy of the chains that packets go through."""
    chains = [each["chain"] for each in rules if "chain" in each]
    return {(chain["family"], chain["hook"]): chain["policy"] for chain in chains if "hook" in chain}


def accepted_ports(rules):
    """Returns the protocols and destination ports that rules accept, for any sender unless a rule says more."""
    ports = set()
    for each in rules:
        expression = each.get("rule", {}).get("expr", [])
        if {"accept": None} not in expression:
            continue
        for part in expression:
            left = part.get("match", {}).get("left", {}).get("payload", {})
            if left.get("field") == "dport":
                right = part["match"]["right"]
                numbers = right["set"] if isinstance(right, dict) else [right]
                ports |= {(left["protocol"], number) for number in numbers}
    return ports


ORCHESTRATORS = {("ip", "filter"), ("ip6", "filter")}


def test_the_first_rule_set_admits_ssh_and_what_configures_the_network(machine):
    rules, _ = machine.load(INITIAL)
    assert tables(rules) == {("inet", "guestos")}
    policies = {("inet", "input"): "drop", ("inet", "forward"): "drop", ("inet", "output"): "accept"}
    assert base_chains(rules) == policies
    assert accepted_ports(rules) == {("tcp", 22), ("udp", 68), ("udp", 546)}


def verdicts(rules, chain):
    """Returns the rules of a chain: what they match, as JSON, and their verdict."""
    expressions = [each["rule"]["expr"] for each in rules if each.get("rule", {}).get("chain") == chain]
    return [(json.dumps(parts[:-1]), next(iter(parts[-1]))) for parts in expressions]


@pytest.mark.parametrize(("chain", "interface"), [("input", "iifname"), ("output", "oifname")])
def test_connections_inside_of_the_machine_come_first(machine, chain, interface):
    rules, _ = machine.load(INITIAL)
    (match, verdict), *_ = verdicts(rules, chain)
    assert verdict == "accept"
    assert interface in match
    assert '"lo"' in match


@pytest.mark.parametrize("address", ["127.0.0.0", "::1"])
def test_packets_from_outside_with_a_loopback_address_are_dropped(machine, address):
    rules, _ = machine.load(INITIAL)
    assert [verdict for match, verdict in verdicts(rules, "input") if address in match] == ["drop"]


def test_accounts_that_only_answer_cannot_connect_to_others(machine):
    rules, _ = machine.load(INITIAL)
    (match,) = [match for match, verdict in verdicts(rules, "output") if verdict == "reject"]
    entries = (line.split(":") for line in databases().passwd.splitlines())
    users = {entry[0]: entry[2] for entry in entries}
    for account in ("ic-csp-vault", "node_exporter"):
        assert re.search(rf'\b{users[account]}\b|"{account}"', match), account
    assert '"new"' in match


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_the_orchestrators_rule_set_replaces_the_first_one(machine, flush, limited):
    machine.rules.write_text(rule_set(lambda family: [rule(family, [2497, 4100])], flush=flush, limited=limited))
    rules, _ = machine.load(INITIAL, machine.entry)
    assert tables(rules) == ORCHESTRATORS
    assert base_chains(rules)["ip", "input"] == base_chains(rules)["ip6", "input"] == "drop"
    assert accepted_ports(rules) == {("tcp", 2497), ("tcp", 4100)}


def test_a_rule_set_replaces_the_one_before(machine):
    machine.rules.write_text(rule_set(lambda family: [rule(family, [9090])]))
    other = machine.entry.with_name("other.conf")
    shutil.copy(machine.entry, other)
    other.write_text(other.read_text().replace(str(machine.rules), f"{machine.rules}.2"))
    Path(f"{machine.rules}.2").write_text(rule_set(lambda family: [rule(family, [9091])]))
    rules, _ = machine.load(INITIAL, machine.entry, other)
    assert accepted_ports(rules) == {("tcp", 9091)}


@pytest.mark.parametrize("text", ["table broken {", "meta skuid nobody-of-that-name accept", None])
def test_an_invalid_rule_set_changes_nothing(machine, text):
    if text is not None:
        machine.rules.write_text(rule_set(lambda family: [rule(family, [4100])]) + text)
    rules, reported = machine.load(INITIAL, machine.entry, check=False)
    assert reported
    assert tables(rules) == {("inet", "guestos")}
    assert base_chains(rules)["inet", "input"] == "drop"


PORTS = st.lists(st.integers(1, 65535), min_size=1, max_size=5, unique=True)


@settings(max_examples=20, deadline=None)
@given(tcp=st.lists(PORTS, max_size=3), udp=PORTS, limited=st.booleans(), flush=st.booleans())
def test_any_combination_of_rules_is_loaded(tmp_path_factory, tcp, udp, limited, flush):
    machine = Machine(tmp_path_factory.mktemp("machine"))

    def rules(family):
        return [rule(family, ports) for ports in tcp] + [rule(family, udp, protocol="udp")]

    machine.rules.write_text(rule_set(rules, limited=limited, flush=flush))
    loaded, _ = machine.load(INITIAL, machine.entry)
    assert tables(loaded) == ORCHESTRATORS
    assert accepted_ports(loaded) == {
        *(("tcp", port) for ports in tcp for port in ports),
        *(("udp", port) for port in udp),
    }


ACTIONS = {1: "accept", 2: "drop", 3: "reject"}


def filled(firewall, rules):
    """Returns the rule set that the orchestrator makes of the templates in ic.json5."""
    text = firewall["file_template"]
    for family, word in ((4, "IPv4"), (6, "IPv6")):
        lines = []
        for each in rules:
            values = {"PORTS": each["ports"], f"{word}_PREFIXES": each[f"ipv{family}_prefixes"]}
            line = firewall[f"ipv{family}_rule_template"]
            for name, value in values.items():
                line = line.replace(f"<<{name}>>", ",".join(map(str, value)))
            lines.append(line.replace("<<ACTION>>", ACTIONS[each["action"]]).replace("<<COMMENT>>", each["comment"]))
        user = firewall[f"ipv{family}_user_output_rule_template"].replace("<<USER>>", "ic-http-adapter")
        ports = ",".join(map(str, firewall["ports_for_http_adapter_blacklist"]))
        user = user.replace(f"<<{word}_PREFIXES>>", PREFIXES[family]).replace("<<PORTS>>", ports)
        text = text.replace(f"<<{word}_RULES>>", "\n".join(lines))
        text = text.replace(
            f"<<{word}_OUTBOUND_RULES>>", user.replace("<<ACTION>>", "reject").replace("<<COMMENT>>", "x")
        )
    assert "<<" not in text
    return text


@pytest.mark.parametrize("whitelist", [False, True])
def test_the_templates_of_the_configuration_are_loaded(machine, whitelist):
    template = (ROOTFS / "opt/ic/share/ic.json5.template").read_text()
    firewall = json5.loads(re.sub(r"\{\{.*?\}\}", "0", template))["firewall"]
    assert firewall["config_file"] == RULES
    rules = firewall["default_rules"]
    if whitelist:
        ports = firewall["ports_for_node_whitelist"]
        prefixes = {f"ipv{family}_prefixes": [PREFIXES[family]] for family in (4, 6)}
        rules = [{**prefixes, "ports": ports, "action": 1, "comment": "nodes"}, *rules]
    machine.rules.write_text(filled(firewall, rules))
    loaded, _ = machine.load(INITIAL, machine.entry)
    assert tables(loaded) == ORCHESTRATORS
    assert {("tcp", port) for each in rules for port in each["ports"]} <= accepted_ports(loaded)
    assert {policy for (_, hook), policy in base_chains(loaded).items() if hook != "output"} == {"drop"}


def test_the_users_that_rules_name_exist():
    texts = [path.read_text() for path in (ROOTFS / "opt/ic/share").glob("*") if path.is_file()]
    named = set(re.findall(r"meta skuid ([A-Za-z0-9_-]+)", "".join(texts))) | {"ic-http-adapter"}
    assert named <= {line.partition(":")[0] for line in databases().passwd.splitlines()}


def commands(path, key):
    """Returns the commands of a setting after its last empty assignment, as systemd collects them."""
    values = re.findall(rf"^{key}=(.*)$", path.read_text().replace("\\\n", " "), re.MULTILINE)
    last = max((index for index, value in enumerate(values) if not value), default=-1)
    return values[last + 1 :]


def test_a_file_without_a_policy_is_not_loaded(tmp_path):
    unit = UNITS / "nftables.service.d/10-guestos.conf"
    check, load = commands(unit, "ExecReload")
    assert load.endswith("nft -f /etc/nftables.conf")
    rules = tmp_path / "nftables.conf"
    command = shlex.split(check.replace(RULES, str(rules)))
    for text, status in (("", 1), ("# policies\n", 1), (rule_set(lambda _: []), 0)):
        rules.write_text(text)
        assert subprocess.run(command, check=False, timeout=60).returncode == status


def test_a_pipe_in_place_of_the_rules_is_not_opened(tmp_path):
    unit = UNITS / "nftables.service.d/10-guestos.conf"
    rules = tmp_path / "nftables.conf"
    os.mkfifo(rules)
    reload = shlex.split(commands(unit, "ExecReload")[0].replace(RULES, str(rules)))
    assert subprocess.run(reload, check=False, timeout=60).returncode == 1
    script = shlex.split(commands(unit, "ExecStart")[1].replace(RULES, str(rules)))[-1]
    loaded = script.replace("nft -f", "echo nft -f")
    assert subprocess.run(["/bin/sh", "-c", loaded], check=True, timeout=60, capture_output=True).stdout == b""
    # Between this test and nft it may be replaced.
    assert re.search(r"^TimeoutStartSec=90$", unit.read_text(), re.MULTILINE)


def test_the_service_may_read_the_orchestrators_file_and_load_it():
    """Its mode is 0600, since it is a temporary file before its rename; setpriv drops the capabilities then."""
    text = (UNITS / "nftables.service.d/10-guestos.conf").read_text()
    (capabilities,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    needed = {"DAC_READ_SEARCH", "NET_ADMIN", "SETGID", "SETPCAP", "SETUID"}
    assert set(capabilities.split()) == {f"CAP_{name}" for name in needed}


ACCOUNT = ["--reuid=ic-replica", "--regid=ic-replica", "--clear-groups"]


def test_the_orchestrators_file_is_read_with_its_rights():
    unit = UNITS / "nftables.service.d/10-guestos.conf"
    (_, start), (_, reload) = commands(unit, "ExecStart"), commands(unit, "ExecReload")
    options = [shlex.split(each.removeprefix("-"))[:8] for each in (start, reload)]
    assert options[0] == options[1]
    assert options[0][:4] == ["/usr/bin/setpriv", *ACCOUNT]


def test_a_rule_set_does_not_show_what_its_author_may_not_read(machine):
    """In the test's namespace root is the only account, so what it may not read is a file without any mode."""
    reload = shlex.split(commands(UNITS / "nftables.service.d/10-guestos.conf", "ExecReload")[1])
    command = shlex.join([each for each in reload if each not in ACCOUNT][:-1])
    machine.rules.write_text(rule_set(lambda family: [rule(family, [4100])], limited=True))
    rules, _ = machine.load(INITIAL, machine.entry, command=command)
    assert tables(rules) == ORCHESTRATORS
    secret = machine.entry.with_name("key")
    secret.write_text("private part\n")
    secret.chmod(0)
    machine.rules.write_text(f'# policy\ninclude "{secret}"\n')
    rules, reported = machine.load(INITIAL, machine.entry, command=command, check=False)
    assert "Permission denied" in reported
    assert "private" not in reported
    assert tables(rules) == {("inet", "guestos")}


def test_the_first_rule_set_is_loaded_before_the_network_and_never_flushed():
    unit = UNITS / "nftables.service.d/10-guestos.conf"
    first, second = commands(unit, "ExecStart")
    assert first == "/usr/sbin/nft -f /opt/ic/share/nftables.conf"
    assert second.startswith("-")
    assert commands(unit, "ExecStop") == []
    wants = (UNITS / "sysinit.target.d/10-guestos.conf").read_text()
    assert "nftables.service" in wants


def test_new_rules_are_loaded_when_the_orchestrator_renames_them_into_place():
    path = (UNITS / "reload_nftables.path").read_text()
    assert f"PathChanged={RULES}\n" in path
    assert "reload_nftables.path" in (UNITS / "multi-user.target.d/10-guestos.conf").read_text()
    assert "/opt/ic/bin/reload-nftables.sh" in (UNITS / "reload_nftables.service").read_text()


SYSTEMCTL = """#!/bin/sh
echo "$*" >>{log}
[ "$(wc -l <{log})" -ge {replacements} ] || {{ echo new >{rules}.new; mv {rules}.new {rules}; }}
"""


@pytest.mark.parametrize("replacements", [1, 2, 4])
def test_rules_that_change_while_they_are_loaded_are_loaded_again(tmp_path, replacements):
    script, rules, log = (tmp_path / name for name in ("reload.sh", "nftables.conf", "log"))
    script.write_text((ROOTFS / "opt/ic/bin/reload-nftables.sh").read_text().replace(RULES, str(rules)))
    rules.write_text("old")
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(SYSTEMCTL.format(log=log, rules=rules, replacements=replacements))
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", script], check=True, env=environment, timeout=60)
    assert log.read_text().splitlines() == ["reload-or-restart nftables.service"] * replacements


def test_rules_that_cannot_be_loaded_are_a_failure(tmp_path):
    script = tmp_path / "reload.sh"
    script.write_text((ROOTFS / "opt/ic/bin/reload-nftables.sh").read_text().replace(RULES, str(tmp_path / "rules")))
    assert subprocess.run(["sh", script], check=False, capture_output=True, timeout=60).returncode != 0
    (tmp_path / "rules").write_text("x")
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(["sh", script], check=False, env=environment, timeout=60).returncode != 0
