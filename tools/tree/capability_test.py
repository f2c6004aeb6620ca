"""Tests of file capabilities; libcap, of setcap(8) and getcap(8), is the oracle."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.testing.libcap import sets_of
from tools.tree.capability import CAPABILITIES, from_text


def decoded(value):
    """Returns (effective, permitted, inheritable) of a value of version 2."""
    magic, low_permitted, low_inheritable, high_permitted, high_inheritable = struct.unpack("<5I", value)
    assert magic in (0x02000000, 0x02000001)
    return magic & 1, high_permitted << 32 | low_permitted, high_inheritable << 32 | low_inheritable


NAMES = st.lists(st.sampled_from([*CAPABILITIES, "all", "CAP_CHOWN"]), min_size=0, max_size=3).map(",".join)
ACTIONS = st.lists(st.tuples(st.sampled_from("=+-"), st.text("eip", max_size=3)).map("".join), min_size=1, max_size=3)
CLAUSES = st.tuples(NAMES, ACTIONS.map("".join)).map("".join)


@given(st.lists(CLAUSES, min_size=1, max_size=3).map(" ".join))
def test_any_text_means_what_it_means_to_libcap(text):
    expected = sets_of(text, len(CAPABILITIES))
    any_set = expected and expected["p"] | expected["i"]
    if not any_set or expected["e"] not in (0, any_set):
        with pytest.raises(ValueError, match=r"; (write|give|name|flags|see|did)|where names"):
            from_text(text)
        return
    assert decoded(from_text(text)) == (int(expected["e"] != 0), expected["p"], expected["i"])


def test_names_have_their_numbers():
    for number, name in enumerate(CAPABILITIES):
        assert sets_of(f"{name}=p", len(CAPABILITIES))["p"] == 1 << number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "gives no permitted or inheritable capability; write such as cap_net_raw=ep"),
        ("cap_net_raw=e", "gives no permitted or inheritable capability"),
        ("cap_net_rw=ep", "has the unknown capability 'cap_net_rw'; did you mean cap_net_raw?"),
        ("xyzzy=ep", "has the unknown capability 'xyzzy'; see capabilities(7)"),
        ("cap_net_raw", "has 'cap_net_raw' where names, an operator (=, + or -) and flags (e, i, p) belong"),
        ("cap_net_raw=ex", "has the flag 'x' in 'cap_net_raw=ex'; flags are e, i and p"),
        ("cap_net_raw+", "has no flag after + in 'cap_net_raw+'; flags are e, i and p"),
        ("+ep", "has no capability before '+ep'; name one, or write all"),
        ("cap_net_raw=ep cap_chown=p", "makes only some capabilities effective; give e to all or none"),
        ("cap_net_raw=ep [rootid=0]", "has the rootid 0, not a user ID from 1 to 4294967294"),
        ("cap_net_raw=ep [rootid=4294967295]", "has the rootid 4294967295, not"),
        ("[rootid=1] cap_net_raw=ep", "has '[rootid=1]' where names"),
    ],
)
def test_errors(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_text(text)


def test_values():
    assert from_text("cap_net_raw=ep").hex() == "0100000200200000" + "00" * 12
    assert from_text("cap_bpf=i").hex() == "00000002" + "00" * 12 + "80000000"
    assert from_text("cap_net_raw=ep [rootid=1000]").hex() == "0100000300200000" + "00" * 12 + "e8030000"
