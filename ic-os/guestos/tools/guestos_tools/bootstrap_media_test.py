import io
import itertools
import os
import re
import shutil
import stat
import subprocess
import tarfile

import pytest
from guestos import bootstrap, network
from guestos.bootstrap import ACCOUNT_KEYS
from guestos.errors import GuestError
from hypothesis import given, settings
from hypothesis import strategies as st

from guestos_tools.bootstrap_media import PROGRAM, SIZE, content, main, parser
from guestos_tools.bootstrap_settings import SETTINGS
from guestos_tools.options import call
from tools.core.errors import UserError
from tools.testing.oracles import ask, oracle

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxN somebody"
PEM = "-----BEGIN PUBLIC KEY-----\nMIGCMB0GDSsGAQQB\ngtx8BQMBAgE=\n-----END PUBLIC KEY-----\n"
PRIVATE_PEM = "-----BEGIN EC PRIVATE KEY-----\nMHQCAQEE\n-----END EC PRIVATE KEY-----\n"
VALUES = {
    "ipv6_address": "2001:db8::2/48",
    "ipv6_gateway": "2001:db8::1",
    "name_servers": "2606:4700::1111, 192.0.2.1",
    "ipv6_prefixes": "2001:db8::/32,2001:db9::/32",
    "hostname": "node-1.example",
    "ipv4_address": "192.0.2.2/24",
    "ipv4_gateway": "192.0.2.1",
    "domain": "node-1.example.org",
    "nns_url": "http://[2001:db8::5]:8080,https://nns.example",
    "replica_log_debug_overrides": '["ic_consensus::consensus"]',
    "backup_retention_time": "3600",
    "backup_purging_interval": "60",
    "malicious_behavior": '{"maliciously_propose_empty_blocks": true}',
    "query_stats_epoch_length": "60",
    "jaeger_addr": "http://[2001:db8::6]:4317",
    "node_reward_type": "type1",
    "socks_proxy": "socks5://proxy.example:1080",
    "bitcoind_addr": "[2001:db8::7]:18444,192.0.2.7",
    "elasticsearch_hosts": "elasticsearch.example:443",
    "elasticsearch_tags": "testnet node",
    "journalbeat_hosts": "journal.example:443 journal2.example",
    "journalbeat_tags": "testnet",
}
OTHER_SPELLINGS = {
    "ipv6_name_servers": "name_servers",
    "nns_urls": "nns_url",
    "log_debug_overrides": "replica_log_debug_overrides",
    "backup_puging_interval": "backup_purging_interval",
}
WITHOUT_READER = {
    "ipv6_prefixes",
    "node_reward_type",
    "guestos_config",
    "generate_ic_boundary_tls_cert",
}


@pytest.fixture(autouse=True)
def _accounts(monkeypatch):
    """Replaces the accounts of a machine, which this one lacks."""
    monkeypatch.setattr(bootstrap, "owner_of", lambda _: (os.geteuid(), os.getegid()))


@pytest.fixture
def folders(tmp_path):
    """Options with one of everything that is taken from files."""
    names = ("keys", "crypto", "registry", "state", "nns.pem", "operator.pem", "config.json")
    keys, crypto, registry, state, pem, operator, config = (tmp_path / name for name in names)
    keys.mkdir()
    (keys / "admin").write_text(f"# who\n{KEY}\n\nrestrict {KEY}\n")
    (crypto / "empty").mkdir(parents=True)
    (crypto / "public_keys.pb").write_bytes(bytes(range(256)) * 5)
    (registry / "0001" / "02").mkdir(parents=True)
    (registry / "0001" / "02" / ("n" * 120 + ".pb")).write_bytes(b"registry")
    state.mkdir()
    (state / "tip").write_bytes(b"state")
    pem.write_text(PEM)
    operator.write_text(PRIVATE_PEM)
    config.write_text("{}")
    return {
        ACCOUNT_KEYS: keys,
        "ic_crypto": crypto,
        "ic_registry_local_store": registry,
        "ic_state": state,
        "nns_public_key": pem,
        "node_operator_private_key": operator,
        "guestos_config": config,
    }


@pytest.fixture
def everything(folders):
    return [f"--{name}={value}" for name, value in (VALUES | folders).items()]


def archive_in(image, folder):
    """Takes the archive out of a medium with mtools."""
    ask("mcopy", "-n", "-i", image, "::/ic-bootstrap.tar", folder / "ic-bootstrap.tar")
    return folder / "ic-bootstrap.tar"


def written(path):
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def taken_in(archive, folder):
    """Has the guest import an archive; returns the directories of config store, crypto and data."""
    places = [folder / name for name in ("boot/config", "var/lib/ic/crypto", "var/lib/ic/data")]
    for each in places:
        each.mkdir(parents=True)
    bootstrap.import_archive(archive, folder)
    return places


def test_there_is_an_option_for_each_setting_and_a_value_here():
    assert {setting.name for setting in SETTINGS} == set(VALUES)
    files = {setting.file for setting in SETTINGS} | {
        "nns_public_key.pem",
        "node_operator_private_key.pem",
        "config.json",
    }
    given = files | {"ic_crypto", "ic_registry_local_store", "ic_state", ACCOUNT_KEYS}
    assert set(bootstrap.MEMBERS) == given | {"nns_public_key_override.pem"}


def test_help_offers_what_is_read_and_nothing_else(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    offered = set(re.findall(r"--[a-z0-9_]+", usage))
    names = {f"--{name}" for name in vars(parser().parse_args(["out"])) if name not in ("out", "tar")}
    assert {f"--{name}" for name in WITHOUT_READER} < names
    assert offered - {"--help"} == names - {f"--{name}" for name in WITHOUT_READER}


# The options of the reference at its three stages.
REFERENCE = """ipv6_address ipv6_gateway name_servers hostname ic_crypto ic_registry_local_store journalbeat_hosts
journalbeat_tags nns_url nns_public_key accounts_ssh_authorized_keys backup_retention_time backup_puging_interval
replica_log_debug_overrides log_debug_overrides malicious_behavior bitcoind_addr socks_proxy
ipv6_name_servers ipv6_prefixes ipv4_address ipv4_gateway domain elasticsearch_hosts elasticsearch_tags
node_operator_private_key
ic_state nns_urls query_stats_epoch_length jaeger_addr node_reward_type generate_ic_boundary_tls_cert guestos_config"""


@pytest.mark.parametrize("option", REFERENCE.split())
def test_every_option_of_the_reference_is_taken(tmp_path, folders, capsys, option):
    name = OTHER_SPELLINGS.get(option, option)
    value = (VALUES | folders | {"generate_ic_boundary_tls_cert": "node.example"})[name]
    others = {"ipv6_gateway": ["--ipv6_address", "2001:db8::2/48"], "ipv4_gateway": ["--ipv4_address", "192.0.2.2/24"]}
    words = [str(tmp_path / "config.img"), f"--{option}", str(value), *others.get(option, ["--domain", "a.example"])]
    main(words)
    warning = f"warning: --{option}: has no effect" in capsys.readouterr().err
    assert warning == (name in WITHOUT_READER)


@pytest.mark.parametrize(("spelling", "name"), OTHER_SPELLINGS.items())
def test_other_spellings_give_the_same_bytes(tmp_path, spelling, name):
    for option in (spelling, name):
        main(["-t", str(tmp_path / option), f"--{option}", VALUES[name]])
    assert (tmp_path / spelling).read_bytes() == (tmp_path / name).read_bytes()


def test_the_guest_takes_in_what_was_given(tmp_path, everything):
    image = tmp_path / "config.img"
    main([*everything, str(image)])
    assert image.stat().st_size == SIZE
    config, crypto, data = taken_in(archive_in(image, tmp_path), tmp_path / "guest")
    assert written(config) == {
        "CONFIGURED": b"",
        "accounts_ssh_authorized_keys/admin": f"# who\n{KEY}\n\nrestrict {KEY}\n".encode(),
        "backup.conf": b"backup_retention_time_secs=3600\nbackup_puging_interval_secs=60\n",
        "bitcoind_addr.conf": b"bitcoind_addr=[2001:db8::7]:18444,192.0.2.7\n",
        "config.json": b"{}",
        "filebeat.conf": b"elasticsearch_hosts=elasticsearch.example:443\nelasticsearch_tags=testnet node\n",
        "jaeger_addr.conf": b"jaeger_addr=http://[2001:db8::6]:4317\n",
        "journalbeat.conf": b"journalbeat_hosts=journal.example:443 journal2.example\njournalbeat_tags=testnet\n",
        "log.conf": b'replica_log_debug_overrides=["ic_consensus::consensus"]\n',
        "malicious_behavior.conf": b'malicious_behavior={"maliciously_propose_empty_blocks": true}\n',
        "network.conf": b"ipv6_address=2001:db8::2/48\nipv6_gateway=2001:db8::1\n"
        b"name_servers=2606:4700::1111, 192.0.2.1\nipv6_prefixes=2001:db8::/32,2001:db9::/32\n"
        b"hostname=node-1.example\nipv4_address=192.0.2.2/24\nipv4_gateway=192.0.2.1\ndomain=node-1.example.org\n",
        "nns.conf": b"nns_url=http://[2001:db8::5]:8080,https://nns.example\n",
        "query_stats.conf": b"query_stats_epoch_length=60\n",
        "reward.conf": b"node_reward_type=type1\n",
        "socks_proxy.conf": b"socks_proxy=socks5://proxy.example:1080\n",
    }
    assert written(crypto) == {"public_keys.pb": bytes(range(256)) * 5}
    assert written(data) == {
        "ic_registry_local_store/0001/02/" + "n" * 120 + ".pb": b"registry",
        "ic_state/tip": b"state",
        "nns_public_key.pem": PEM.encode(),
        "node_operator_private_key.pem": PRIVATE_PEM.encode(),
    }
    parsed = network.parse((config / "network.conf").read_text(), "network.conf")
    assert (parsed.hostname, str(parsed.address)) == ("node-1.example", "2001:db8::2/48")


def test_others_read_it(tmp_path, everything):
    image = tmp_path / "config.img"
    main([*everything, str(image)])
    ask("fsck.fat", "-n", "-V", image)
    if shutil.which("blkid", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        assert ask("blkid", "-p", "-o", "value", "-s", "TYPE", image).split() == ["vfat"]
    archive = archive_in(image, tmp_path)
    listing = subprocess.run(
        [oracle("tar"), "--numeric-owner", "--utc", "-tvf", archive], capture_output=True, text=True, check=True
    )
    assert not listing.stderr
    lines = [line.split() for line in listing.stdout.splitlines()]
    assert {tuple(words[:2] + words[3:5]) for words in lines} == {
        ("drwxr-xr-x", "0/0", "1970-01-01", "00:00"),
        ("-rw-r--r--", "0/0", "1970-01-01", "00:00"),
        ("drwx------", "0/0", "1970-01-01", "00:00"),
        ("-rw-------", "0/0", "1970-01-01", "00:00"),
    }
    secret = {words[5] for words in lines if words[0].endswith("------")}
    assert secret == {"ic_crypto/", "ic_crypto/empty/", "ic_crypto/public_keys.pb", "node_operator_private_key.pem"}
    assert "ic_registry_local_store/0001/02/" + "n" * 120 + ".pb" in {words[5] for words in lines}


def test_one_folder_alone_is_a_configuration(tmp_path, folders):
    main([f"--{ACCOUNT_KEYS}={folders[ACCOUNT_KEYS]}", str(tmp_path / "config.img")])
    config, _, _ = taken_in(archive_in(tmp_path / "config.img", tmp_path), tmp_path / "guest")
    assert written(config).keys() == {"CONFIGURED", "accounts_ssh_authorized_keys/admin"}


def test_a_signature_is_put_beside_the_archive(tmp_path):
    line = f"ed25519 {'0' * 64} {'1' * 128}\n"
    (tmp_path / "signature").write_text(line)
    main(["-t", str(tmp_path / "a.tar"), "--hostname=a"])
    main([str(tmp_path / "config.img"), "--hostname=a", f"--signature={tmp_path / 'signature'}"])
    assert archive_in(tmp_path / "config.img", tmp_path).read_bytes() == (tmp_path / "a.tar").read_bytes()
    ask("mcopy", "-n", "-i", tmp_path / "config.img", "::/ic-bootstrap.tar.sig", tmp_path / "found")
    assert (tmp_path / "found").read_text() == line


@pytest.mark.parametrize("content", ["", "nonsense\n", f"ed25519 {'0' * 64} {'1' * 126}\n"])
def test_a_file_that_has_no_signatures_is_refused(tmp_path, content):
    (tmp_path / "signature").write_text(content)
    with pytest.raises(UserError, match=r"--signature: .*: is not a file of signatures"):
        main([str(tmp_path / "config.img"), "--hostname=a", f"--signature={tmp_path / 'signature'}"])
    assert not (tmp_path / "config.img").exists()


def test_an_archive_alone_has_no_place_for_a_signature(tmp_path):
    with pytest.raises(UserError, match="--signature: is for a medium"):
        main(["-t", str(tmp_path / "a.tar"), "--hostname=a", "--signature=x"])


def test_the_same_content_gives_the_same_bytes(tmp_path, folders, everything):
    main([*everything, str(tmp_path / "a.img")])
    moved = tmp_path / "elsewhere"
    for name, path in folders.items():
        copy = moved / name
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, (moved.mkdir(exist_ok=True), copy)[1])
        copy.chmod(0o700)
    options = [f"--{name}={value}" for name, value in (VALUES | {name: moved / name for name in folders}).items()]
    main([*reversed(options), str(tmp_path / "b.img")])
    assert (tmp_path / "a.img").read_bytes() == (tmp_path / "b.img").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ipv6_address", "192.0.2.1"], "--ipv6_address: "),
        (["--ipv6_address", "2001:db8::1/129"], "--ipv6_address: "),
        (["--ipv6_gateway", "2001:db8::1"], "--ipv6_gateway is given without ipv6_address"),
        (
            ["--name_servers", "ns.example"],
            "--name_servers: 'ns.example' is not the address of a name server",
        ),
        (["--hostname=-x"], "--hostname: '-x' is not a host name"),
        (["--hostname", ""], "there is nothing to configure: give at least one option"),
        (["--hostname", "a\nipv6_address=::1"], "--hostname: must be one line of text"),
        (
            ["--ipv6_address", "::5", "--ipv6_gateway", "fe80::1%é"],
            "--ipv6_gateway: 'fe80::1%é' is not an IPv6 address",
        ),
        (["--ipv4_address", "192.0.2.1"], "--ipv4_address: '192.0.2.1' is not an IPv4 address with the length"),
        (["--ipv4_gateway", "192.0.2.1"], "--ipv4_gateway is given without ipv4_address"),
        (["--bitcoind_addr", "a b"], "--bitcoind_addr: 'a b' is not an address"),
        (["--backup_retention_time", "9" * 5000], f"--backup_retention_time: '{'9' * 60}…' is not a number"),
        (["--malicious_behavior", "9" * 5000], f"--malicious_behavior: '{'9' * 60}…' is not an object in JSON"),
        (["--malicious_behavior", "[" * 100_000], "--malicious_behavior: '[["),
        (
            ["--replica_log_debug_overrides", "[1]"],
            "--replica_log_debug_overrides: '[1]' is not a list of names in JSON",
        ),
        (["--node_operator_private_key", "nns.pem"], "--node_operator_private_key: nns.pem: is not a private key"),
        (["--ic_state", "nns.pem"], "--ic_state: nns.pem: Not a directory"),
        (["--nns_url", "nns.example"], "--nns_url: 'nns.example' is not a URL that begins with http:// or https://"),
        (["--nns_url", "http://a,ftp://b"], "--nns_url: 'ftp://b' is not a URL"),
        (["--nns_url", "http://a:99999"], "--nns_url: 'http://a:99999' is not a URL"),
        (["--nns_url", "http://[::1"], "--nns_url: 'http://[::1' is not a URL"),
        (["--socks_proxy", "http://a"], "--socks_proxy: 'http://a' is not a URL"),
        (["--backup_retention_time", "1h"], "--backup_retention_time: '1h' is not a number from 0 to 2^64-1"),
        (["--replica_log_debug_overrides", "a"], "--replica_log_debug_overrides: 'a' is not a list of names in JSON"),
        (["--malicious_behavior", "[]"], "--malicious_behavior: '[]' is not an object in JSON"),
        (["--nns_public_key", "missing"], "--nns_public_key: missing: No such file or directory"),
        (["--nns_public_key", "keys/admin"], "--nns_public_key: keys/admin: is not a public key in PEM format"),
        (["--nns_public_key", "keys"], "--nns_public_key: keys: is not a regular file"),
        (["--ic_crypto", "missing"], "--ic_crypto: missing: No such file or directory"),
        (["--ic_crypto", "linked"], "--ic_crypto: linked/link: No such file or directory"),
        (["--ic_crypto", "circular"], "--ic_crypto: circular/inner/back: is a link to a folder that contains it"),
        (["--ic_crypto", "pipes"], "--ic_crypto: pipes/pipe: is not a regular file"),
        ([f"--{ACCOUNT_KEYS}", "keys/admin"], f"--{ACCOUNT_KEYS}: keys/admin: Not a directory"),
        ([f"--{ACCOUNT_KEYS}", "bad_name"], f"--{ACCOUNT_KEYS}: bad_name/admin.pub: must be a file that is named as"),
        ([f"--{ACCOUNT_KEYS}", "bad_key"], f"--{ACCOUNT_KEYS}: bad_key/admin:2: is not a public SSH key"),
        ([f"--{ACCOUNT_KEYS}", "marked"], f"--{ACCOUNT_KEYS}: marked/admin:1: begins with a byte order mark"),
        ([], "there is nothing to configure: give at least one option"),
        (["--hostnam", "a"], "unrecognized arguments: --hostnam"),
        (["--ic_crypto", "--hostname", "a"], "argument --ic_crypto: expected one argument; --help lists the options"),
        (["--ic_crypto", "big"], "the configuration has "),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, monkeypatch, capsys, folders, options, message):
    monkeypatch.chdir(tmp_path)
    for name in ("linked", "bad_name", "bad_key", "marked", "big", "circular/inner", "pipes"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "circular" / "inner" / "back").symlink_to("..")
    os.mkfifo(tmp_path / "pipes" / "pipe")
    (tmp_path / "linked" / "link").symlink_to("nowhere")
    (tmp_path / "bad_name" / "admin.pub").write_text(KEY)
    (tmp_path / "bad_key" / "admin").write_text(f"{KEY}\n-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "marked" / "admin").write_text(f"{KEY}\n", encoding="utf-8-sig")
    with (tmp_path / "big" / "file").open("wb") as file:
        file.truncate(1 << 32)
    (tmp_path / "config.img").write_bytes(b"as it was")
    assert call(PROGRAM, main, [*options, "config.img"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROGRAM}: error: {message}")
    assert error.count("\n") == 1
    assert (tmp_path / "config.img").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the following arguments are required: OUT"),
        (["a", "b"], "unrecognized arguments: b"),
        ([""], "OUT: is empty"),
    ],
)
def test_there_is_one_output(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert call(PROGRAM, main, options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert call(PROGRAM, main, [str(tmp_path / "missing" / "config.img")]) == 2
    assert f"there is no folder {tmp_path / 'missing'}" in capsys.readouterr().err


def test_the_guest_refuses_a_medium_that_was_cut(tmp_path, everything):
    image = tmp_path / "config.img"
    main([*everything, str(image)])
    whole = archive_in(image, tmp_path).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        end = max(member.offset_data + -(-member.size // 512) * 512 for member in tar)
    for number, length in enumerate(range(0, end, 512 * 5)):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:length])
        with pytest.raises(GuestError):
            taken_in(cut, tmp_path / str(number))


def test_links_are_followed(tmp_path, folders):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "public_keys.pb").symlink_to(folders["ic_crypto"] / "public_keys.pb")
    (linked / "empty").symlink_to(folders["ic_crypto"] / "empty")
    for name, path in (("a", folders["ic_crypto"]), ("b", linked)):
        main([str(tmp_path / name), "--ic_crypto", str(path)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("option", ["-t", "--tar"])
def test_the_archive_alone(tmp_path, everything, option):
    main([str(tmp_path / "config.img"), *everything])
    main([option, str(tmp_path / "config.tar"), *everything])
    assert archive_in(tmp_path / "config.img", tmp_path).read_bytes() == (tmp_path / "config.tar").read_bytes()


def test_keys_of_an_account_that_cannot_log_in_are_taken_with_a_warning(tmp_path, capsys):
    keys = tmp_path / "keys"
    keys.mkdir()
    for account in ("admin", "backup", "readonly", "root"):
        (keys / account).write_text(KEY)
    main([str(tmp_path / "out"), f"--{ACCOUNT_KEYS}={keys}"])
    assert capsys.readouterr().err == ""
    (keys / "amdin").write_text(KEY)
    main([str(tmp_path / "out"), f"--{ACCOUNT_KEYS}={keys}"])
    warning = f"warning: {keys}/amdin: has no effect, since only root, admin, backup, readonly can log in\n"
    assert capsys.readouterr().err == warning


def test_a_large_configuration_gets_a_larger_medium(tmp_path):
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "file").write_bytes(b"x" * SIZE)
    main([str(tmp_path / "config.img"), "--ic_registry_local_store", str(tmp_path / "registry")])
    ask("fsck.fat", "-n", "-V", tmp_path / "config.img")
    _, _, data = taken_in(archive_in(tmp_path / "config.img", tmp_path), tmp_path / "guest")
    assert written(data) == {"ic_registry_local_store/file": b"x" * SIZE}


SECRET = {"ic_crypto", "node_operator_private_key"}


@pytest.mark.parametrize("options", [*([name] for name in sorted(SECRET)), ["nns_public_key"], ["hostname"]])
@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_a_medium_with_private_keys_is_for_its_owner(tmp_path, folders, monkeypatch, options, form):
    modes = []
    truncate = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", lambda fd, size: (modes.append(os.fstat(fd).st_mode), truncate(fd, size)))
    before = os.umask(0o022)
    try:
        words = [f"--{name}={(VALUES | folders)[name]}" for name in options]
        main([*form, str(tmp_path / "out"), *words])
    finally:
        os.umask(before)
    mode = 0o600 if SECRET & set(options) else 0o644
    assert [stat.S_IMODE(each) for each in [*modes, (tmp_path / "out").stat().st_mode]] == [mode, mode]


def archived(*words):
    """Returns the members of an archive by name, or the message of the error."""
    try:
        root = content(parser().parse_args([*words, "out"]))
    except UserError as error:
        return str(error)
    return {name.decode(): node.content.read(0, node.content.size).decode() for name, node in root.entries.items()}


@settings(deadline=None)
@given(st.sets(st.sampled_from(sorted(VALUES)), min_size=1))
def test_every_combination_of_settings_is_what_the_guest_reads(names):
    found = archived(*(f"--{name}={VALUES[name]}" for name in names))
    for version in ("ipv6", "ipv4"):
        if f"{version}_gateway" in names and f"{version}_address" not in names:
            assert "_gateway is given without " in found
            return
    lines = list(itertools.chain(*(text.splitlines() for text in found.values())))
    assert sorted(lines) == sorted(f"{each.key}={VALUES[each.name]}" for each in SETTINGS if each.name in names)
    assert set(found) == {each.file for each in SETTINGS if each.name in names}
    if "network.conf" in found:
        network.parse(found["network.conf"], "network.conf", pytest.fail)


@settings(deadline=None)
@given(st.sampled_from([setting.name for setting in SETTINGS]), st.text(max_size=80))
def test_any_value_is_one_line_or_refused(name, value):
    found = archived("--domain=a.example", f"--{name}={value}")
    if isinstance(found, dict):
        lines = list(itertools.chain(*(text.split("\n") for text in found.values())))
        assert sum(bool(line) for line in lines) <= 2
        assert all(line.partition("=")[0] in {each.key for each in SETTINGS} for line in lines if line)


@pytest.mark.parametrize(("option", "text"), [("nns_public_key", PEM), ("node_operator_private_key", PRIVATE_PEM)])
def test_keys_may_be_of_another_systems_editor(tmp_path, capsys, option, text):
    path = tmp_path / "key.pem"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert call(PROGRAM, main, [str(tmp_path / "out"), f"--{option}", str(path)]) == 0, capsys.readouterr().err
    path.write_text(text, encoding="utf-8-sig")
    assert call(PROGRAM, main, [str(tmp_path / "out"), f"--{option}", str(path)]) == 2
    assert "key in PEM format" in capsys.readouterr().err


def test_an_empty_value_counts_as_not_given():
    words = [f"--{name}=" for name in [*VALUES, "ic_crypto", "nns_public_key", ACCOUNT_KEYS] if name != "domain"]
    assert archived("--domain=a.example", *words) == archived("--domain=a.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nns_url", "http://nns.example/^"),
        ("nns_url", "http://nns.example,http://a|b"),
        ("jaeger_addr", "http://a{b}"),
        ("socks_proxy", "socks5://é:1080"),
        ("elasticsearch_hosts", "logs.example, logs_2"),
        ("elasticsearch_tags", 'a"b'),
        ("journalbeat_hosts", "https://"),
        ("journalbeat_tags", "a,b;c"),
        ("malicious_behavior", '{"a": "\\ud800"}'),
    ],
)
def test_what_a_machine_would_not_take_is_refused(name, value):
    found = archived(f"--{name}={value}")
    assert isinstance(found, str)
    assert found.startswith(f"--{name}: ")
    assert found.count("\n") == 0


def test_a_comma_at_the_end_of_a_list_adds_nothing():
    assert archived("--nns_url=http://nns.example:8080,") == archived("--nns_url=http://nns.example:8080")
