from guestos_tools.access_control_check import profiles_of, violations

AUDIT = (
    'audit: type=1400 audit(1.2:3): apparmor="{}" operation="open" class="file" profile="replica" '
    'name="/boot/config/store.keyfile" pid=7 comm="replica" requested_mask="r" denied_mask="r" fsuid=611 ouid=0'
)


def test_a_process_has_the_profile_of_its_program():
    lines = [
        "orchestrator (enforce) python3 /opt/ic/bin/orchestrator --version-file /opt/ic/share/version.txt",
        "unconfined /opt/ic/bin/replica ",
        "ic-btc-mainnet-adapter (enforce) /opt/ic/bin/ic-btc-adapter /run/a.json5",
        "ic-btc-testnet-adapter (complain) /opt/ic/bin/ic-btc-adapter /run/b.json5",
        "unconfined ",
        "unconfined (unconfined) /usr/lib/systemd/systemd",
        "",
    ]
    assert profiles_of(lines) == {
        "/opt/ic/bin/orchestrator": {"orchestrator"},
        "/opt/ic/bin/replica": {"unconfined"},
        "/opt/ic/bin/ic-btc-adapter": {"ic-btc-mainnet-adapter", "ic-btc-testnet-adapter"},
    }


def test_each_violation_is_reported_once():
    found = violations([AUDIT.format("ALLOWED"), AUDIT.format("DENIED"), "something else"])
    expected = (
        'profile="replica" operation="open" class="file" name="/boot/config/store.keyfile" '
        'comm="replica" requested_mask="r"'
    )
    assert found == [expected]


def test_what_is_no_violation():
    assert violations([AUDIT.format("STATUS"), AUDIT.format("AUDIT"), "apparmor=1 security=apparmor"]) == []
