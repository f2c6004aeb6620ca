import struct
import uuid

import pytest
from virt.firmware.efi import efivar
from virt.firmware.varstore.edk2 import Edk2VarStore

from tools.commands import secure_boot_keys
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate, variable_store

OWNER = "11111111-2222-3333-4444-123456789abc"
VENDORS = {"PK": "8be4df61-93ca-11d2-aa0d-00e098032b8c", "KEK": "8be4df61-93ca-11d2-aa0d-00e098032b8c"}
VENDORS["db"] = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_certificate(folder, name) for name in ("platform", "exchange", "one", "two")}


@pytest.fixture
def run(tmp_path, monkeypatch, certificates):
    """Returns a function that runs the command in a folder with an empty store; a value of None leaves a flag out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.fd").write_bytes(variable_store())

    def run(*more, **changes):
        flags = {
            "pk_certificate": certificates["platform"][1],
            "pk_key": certificates["platform"][0],
            "kek_certificate": certificates["exchange"][1],
            "kek_key": certificates["exchange"][0],
            "db_certificate": certificates["one"][1],
            "owner": OWNER,
            "ovmf_template": "empty.fd",
            "pk_output": "PK.auth",
            "kek_output": "KEK.auth",
            "db_output": "db.auth",
            "ovmf_output": "keys.fd",
        } | changes
        words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
        return call(secure_boot_keys.main, secure_boot_keys.Arguments, None, ["keys", *words, *more])

    return run


def certificates_of(variable):
    """Returns the certificates in a variable, as text, by virt-firmware."""
    return ["CN=" + each.x509.subject.rfc4514_string().removeprefix("CN=") for each in variable.sigdb]


def test_virt_firmware_reads_the_store(tmp_path, run, certificates):
    assert run(f"--db_certificate={certificates['two'][1]}") == 0
    variables = Edk2VarStore(str(tmp_path / "keys.fd")).get_varlist()
    assert set(variables) == {"PK", "KEK", "db", "SecureBootEnable"}
    assert {name: certificates_of(variables[name]) for name in VENDORS} == {
        "PK": ["CN=platform"],
        "KEK": ["CN=exchange"],
        "db": ["CN=one", "CN=two"],
    }
    assert {str(each["guid"]) for name in VENDORS for list_ in variables[name].sigdb for each in list_} == {OWNER}
    assert variables["SecureBootEnable"].data == b"\1"
    assert len((tmp_path / "keys.fd").read_bytes()) == len(variable_store())


def test_virt_firmware_writes_the_same_variables(tmp_path, run, certificates):
    assert run() == 0
    ours = Edk2VarStore(str(tmp_path / "keys.fd"))
    theirs = efivar.EfiVarList()
    for name, who in (("PK", "platform"), ("KEK", "exchange"), ("db", "one")):
        theirs.add_cert(name, OWNER, str(certificates[who][1]))
    theirs.set_bool("SecureBootEnable", True)
    for name, variable in theirs.items():
        found = ours.get_varlist()[name]
        assert (found.guid, found.attr, found.data) == (variable.guid, variable.attr, variable.data)


@pytest.mark.parametrize(("name", "signer"), [("PK", "platform"), ("KEK", "platform"), ("db", "exchange")])
def test_openssl_verifies_the_signed_variables(tmp_path, run, certificates, name, signer):
    assert run() == 0
    data = (tmp_path / f"{name}.auth").read_bytes()
    time, (length, revision, kind) = data[:16], struct.unpack_from("<IHH", data, 16)
    assert (revision, kind, data[24:40]) == (
        0x0200,
        0x0EF1,
        uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7").bytes_le,
    )
    message, content = data[40 : 16 + length], data[16 + length :]
    # What older firmware looks for: the OID of SHA-256 at byte 13 of the SignedData.
    assert message[13:22] == bytes.fromhex("608648016503040201")
    signed = name.encode("utf-16-le") + uuid.UUID(VENDORS[name]).bytes_le + struct.pack("<I", 0x27) + time + content
    inner = b"\xa0\x82" + len(message).to_bytes(2, "big") + message
    kind = bytes.fromhex("06092a864886f70d010702")
    wrapped = b"\x30\x82" + (len(kind) + len(inner)).to_bytes(2, "big") + kind + inner
    (tmp_path / "message").write_bytes(wrapped)
    (tmp_path / "signed").write_bytes(signed)
    command = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "message", "-content", "signed", "-noverify"]
    command += ["-nointern", "-out", "/dev/null", "-certfile", certificates[signer][1]]
    ask("openssl", *command)
    (tmp_path / "signed").write_bytes(signed[:-1] + bytes([signed[-1] ^ 1]))
    assert "Verification failure" in ask("openssl", *command, check=False)
    assert content == Edk2VarStore(str(tmp_path / "keys.fd")).get_varlist()[name].data


def test_the_same_keys_give_the_same_bytes(tmp_path, run):
    assert run() == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run() == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_store_alone_needs_no_private_key(tmp_path, run):
    assert run(pk_key=None, kek_key=None, pk_output=None, kek_output=None, db_output=None) == 0
    assert (tmp_path / "keys.fd").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pk_key": None}, "--pk_key: is missing; it signs PK.auth"),
        ({"kek_key": None}, "--kek_key: is missing; it signs db.auth"),
        ({"owner": "x"}, "--owner: 'x' is not a GUID"),
        ({"ovmf_template": None}, "--ovmf_template: is missing"),
        ({"ovmf_template": "none.fd"}, "none.fd: cannot be read"),
        ({"ovmf_template": "other.fd"}, "other.fd: is not a variable store of OVMF"),
        ({"ovmf_template": "short.fd"}, "short.fd: is truncated"),
        ({"ovmf_template": "small.fd"}, "small.fd: has 100 bytes for variables, and the keys need "),
        ({"ovmf_template": "used.fd"}, "used.fd: has variables already"),
        (dict.fromkeys(("pk_output", "kek_output", "db_output", "ovmf_output")), "there is nothing to write"),
    ],
)
def test_refuses(tmp_path, run, capsys, changes, message):
    (tmp_path / "other.fd").write_bytes(b"x" * 100)
    (tmp_path / "short.fd").write_bytes(variable_store()[:-1])
    (tmp_path / "small.fd").write_bytes(variable_store(room=128))
    (tmp_path / "used.fd").write_bytes(variable_store().replace(b"\xff\xff", b"\xaa\x55", 1))
    assert run(**changes) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_refuses_the_key_of_another_certificate(run, capsys, certificates):
    assert run(pk_key=certificates["one"][0]) == 2
    assert "one.key.pem: is not the private key of " in capsys.readouterr().err
