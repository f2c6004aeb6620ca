import io
import shutil
import subprocess
import tarfile

import pytest
from guestos import bootstrap, network
from guestos.bootstrap import ACCOUNT_KEYS
from guestos.errors import GuestError

from guestos_tools.bootstrap_media import PROGRAM, SETTINGS, SIZE, main, parser
from guestos_tools.options import call
from tools.testing.oracles import ask, oracle

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxN somebody"
PEM = "-----BEGIN PUBLIC KEY-----\nMIGCMB0GDSsGAQQB\ngtx8BQMBAgE=\n-----END PUBLIC KEY-----\n"
VALUES = {
    "ipv6_address": "2001:db8::2/48",
    "ipv6_gateway": "2001:db8::1",
    "name_servers": "2606:4700::1111, 192.0.2.1",
    "hostname": "node-1.example",
    "nns_url": "http://[2001:db8::5]:8080,https://nns.example",
    "replica_log_debug_overrides": '["ic_consensus::consensus"]',
    "elasticsearch_hosts": "elasticsearch.example:443",
    "elasticsearch_tags": "testnet node",
    "backup_retention_time": "3600",
    "backup_purging_interval": "60",
    "socks_proxy": "socks5://proxy.example:1080",
    "malicious_behavior": '{"maliciously_propose_empty_blocks": true}',
}


@pytest.fixture
def folders(tmp_path):
    """Options with one of everything that is taken from files."""
    keys, crypto, registry, pem = (tmp_path / name for name in ("keys", "crypto", "registry", "nns.pem"))
    keys.mkdir()
    (keys / "admin").write_text(f"# who\n{KEY}\n\nrestrict {KEY}\n")
    (crypto / "empty").mkdir(parents=True)
    (crypto / "public_keys.pb").write_bytes(bytes(range(256)) * 5)
    (registry / "0001" / "02").mkdir(parents=True)
    (registry / "0001" / "02" / ("n" * 120 + ".pb")).write_bytes(b"registry")
    pem.write_text(PEM)
    return {
        ACCOUNT_KEYS: keys,
        "ic_crypto": crypto,
        "ic_registry_local_store": registry,
        "nns_public_key": pem,
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
    """Has the guest take an archive in; returns the folders that it fills."""
    config, crypto, registry = (folder / name for name in ("config", "crypto", "data"))
    for each in (config, crypto):
        each.mkdir(parents=True)
    bootstrap.import_archive(archive, config, {"ic_crypto": crypto, "ic_registry_local_store": registry})
    return config, crypto, registry


def test_there_is_an_option_for_each_setting_and_a_value_here():
    assert {setting.name for setting in SETTINGS} == set(VALUES)
    assert {setting.file for setting in SETTINGS} | {"nns_public_key.pem"} == set(bootstrap.FILES)
    assert set(bootstrap.MOVED) | {ACCOUNT_KEYS} < vars(parser().parse_args(["out"])).keys()


def test_the_guest_takes_in_what_was_given(tmp_path, everything):
    image = tmp_path / "config.img"
    main([*everything, str(image)])
    assert image.stat().st_size == SIZE
    config, crypto, registry = taken_in(archive_in(image, tmp_path), tmp_path / "guest")
    assert written(config) == {
        "CONFIGURED": b"",
        "accounts_ssh_authorized_keys/admin": f"# who\n{KEY}\n\nrestrict {KEY}\n".encode(),
        "backup.conf": b"backup_retention_time_secs=3600\nbackup_purging_interval_secs=60\n",
        "log.conf": b"elasticsearch_hosts=elasticsearch.example:443\nelasticsearch_tags=testnet node\n",
        "malicious_behavior.conf": b'malicious_behavior={"maliciously_propose_empty_blocks": true}\n',
        "network.conf": b"ipv6_address=2001:db8::2/48\nipv6_gateway=2001:db8::1\n"
        b"name_servers=2606:4700::1111, 192.0.2.1\nhostname=node-1.example\n",
        "nns.conf": b"nns_url=http://[2001:db8::5]:8080,https://nns.example\n",
        "nns_public_key.pem": PEM.encode(),
        "replica_log_debug_overrides.conf": b'replica_log_debug_overrides=["ic_consensus::consensus"]\n',
        "socks_proxy.conf": b"socks_proxy=socks5://proxy.example:1080\n",
    }
    assert written(crypto) == {"public_keys.pb": bytes(range(256)) * 5}
    assert written(registry) == {"0001/02/" + "n" * 120 + ".pb": b"registry"}
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
    }
    assert "ic_registry_local_store/0001/02/" + "n" * 120 + ".pb" in {words[5] for words in lines}


def test_one_folder_alone_is_a_configuration(tmp_path, folders):
    main([f"--{ACCOUNT_KEYS}={folders[ACCOUNT_KEYS]}", str(tmp_path / "config.img")])
    config, _, _ = taken_in(archive_in(tmp_path / "config.img", tmp_path), tmp_path / "guest")
    assert written(config).keys() == {"CONFIGURED", "accounts_ssh_authorized_keys/admin"}


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
        (["--hostname", ""], "--hostname: must be one line of text that is not empty"),
        (["--hostname", "a\nipv6_address=::1"], "--hostname: must be one line of text that is not empty"),
        (["--nns_url", "nns.example"], "--nns_url: 'nns.example' is not a URL that begins with http:// or https://"),
        (["--nns_url", "http://a,ftp://b"], "--nns_url: 'ftp://b' is not a URL"),
        (["--nns_url", "http://a:99999"], "--nns_url: 'http://a:99999' is not a URL"),
        (["--nns_url", "http://[::1"], "--nns_url: 'http://[::1' is not a URL"),
        (["--socks_proxy", "http://a"], "--socks_proxy: 'http://a' is not a URL"),
        (["--backup_retention_time", "1h"], "--backup_retention_time: '1h' is not a whole number of seconds"),
        (["--replica_log_debug_overrides", "a"], "--replica_log_debug_overrides: 'a' is not a list in JSON"),
        (["--malicious_behavior", "[]"], "--malicious_behavior: '[]' is not an object in JSON"),
        (["--nns_public_key", "missing"], "--nns_public_key: missing: No such file or directory"),
        (["--nns_public_key", "keys/admin"], "--nns_public_key: keys/admin: is not a public key in PEM format"),
        (["--nns_public_key", "keys"], "--nns_public_key: keys: is not a regular file"),
        (["--ic_crypto", "missing"], "--ic_crypto: missing: No such file or directory"),
        (["--ic_crypto", "linked"], "--ic_crypto: linked/link: is neither a file nor a folder"),
        ([f"--{ACCOUNT_KEYS}", "keys/admin"], f"--{ACCOUNT_KEYS}: keys/admin: Not a directory"),
        ([f"--{ACCOUNT_KEYS}", "bad_name"], f"--{ACCOUNT_KEYS}: bad_name/admin.pub: must be a file that is named as"),
        ([f"--{ACCOUNT_KEYS}", "bad_key"], f"--{ACCOUNT_KEYS}: bad_key/admin:2: is not a public SSH key"),
        ([], "there is nothing to configure: give at least one option"),
        (["--hostnam", "a"], "unrecognized arguments: --hostnam"),
        (["--ic_crypto", "--hostname", "a"], "argument --ic_crypto: expected one argument; --help lists the options"),
        (["--ic_crypto", "big"], "the configuration takes "),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, monkeypatch, capsys, folders, options, message):
    monkeypatch.chdir(tmp_path)
    for name in ("linked", "bad_name", "bad_key", "big"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked" / "link").symlink_to("nowhere")
    (tmp_path / "bad_name" / "admin.pub").write_text(KEY)
    (tmp_path / "bad_key" / "admin").write_text(f"{KEY}\n-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "big" / "file").write_bytes(b"x" * SIZE)
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
