import ipaddress

import pytest

from guestos.addresses import own_address

LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo"
LINK = "fe80000000000000505400fffe123456 02 40 20 80   enp1s0"
GLOBAL = "20010db8000000000000000000000010 02 40 00 80   enp1s0"
SECOND = "20010db8000000000000000000000020 03 40 00 80   enp2s0"
SITE = "fec0000000000000505400fffe123456 02 40 40 00   enp1s0"
BRIDGE = "20010db8000000000000000000000030 04 40 00 80   br0"


@pytest.fixture
def machine(tmp_path):
    """Returns a function that takes the rows of the kernel's list, and returns the address."""
    for name in ("enp1s0", "enp2s0"):
        (tmp_path / "net" / name / "device").mkdir(parents=True)
    for name in ("lo", "br0"):
        (tmp_path / "net" / name).mkdir()

    def address(*rows):
        (tmp_path / "if_inet6").write_text("".join(f"{row}\n" for row in rows))
        found = own_address(str(tmp_path / "if_inet6"), str(tmp_path / "net"))
        return None if found is None else str(found)

    return address


def flagged(row, flags):
    return row.replace(" 00 80 ", f" 00 {flags:02x} ")


def test_a_global_address_of_the_first_hardware_interface(machine):
    assert machine(BRIDGE, LOOPBACK, SECOND, LINK, GLOBAL) == "2001:db8::10"


def test_no_address_that_lasts(machine):
    temporary, failed, deprecated, tentative = 0x01, 0x08, 0x20, 0x40
    for flags in (temporary, failed, deprecated, tentative):
        assert machine(LOOPBACK, LINK, BRIDGE, flagged(GLOBAL, flags)) is None
    assert machine() is None


def test_the_first_address_of_an_interface(machine):
    assert machine(GLOBAL.replace("0010 02", "0011 02"), GLOBAL) == "2001:db8::11"


def test_a_site_local_address_if_there_is_no_global_one(machine):
    assert machine(SITE, SECOND) == "2001:db8::20"
    assert machine(LOOPBACK, SITE) == "fec0::5054:ff:fe12:3456"


def test_a_kernel_without_ipv6(tmp_path):
    assert own_address(str(tmp_path / "if_inet6"), str(tmp_path)) is None


def test_the_list_of_this_machine_is_understood():
    address = own_address()
    assert address is None or isinstance(address, ipaddress.IPv6Address)
