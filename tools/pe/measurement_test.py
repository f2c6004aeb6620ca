"""Compares values of PCR 11 with those of systemd-measure."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.headers import read_pe
from tools.pe.measurement import DEFAULT_PHASES, kernel_image_value, normal_phases, phase_value
from tools.testing.pe_files import pe_file
from tools.testing.systemd_measure import SystemdMeasure

MEASURED = [".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"]
ROOM = 0x600


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return SystemdMeasure(tmp_path_factory.mktemp("measure"))


def image_of(sections):
    return read_pe(Image.from_bytes(pe_file([(".text", b"\xc3"), *sections], room=ROOM)), "uki")


def values(file, phases):
    """Returns the values in the order in which systemd-measure prints them."""
    value = kernel_image_value(file)
    return [phase_value(value, phase).hex() for phase in sorted(normal_phases(phases))]


@st.composite
def images(draw):
    """Sections in the order of the file."""
    names = draw(st.permutations([".linux", *draw(st.sets(st.sampled_from(MEASURED)))]))
    return [(name, draw(st.binary(min_size=1, max_size=2000))) for name in names]


words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=10)
phases = st.lists(
    st.lists(words, max_size=4).map(lambda each: ":".join(each) or ":"), min_size=1, max_size=4, unique=True
)


@settings(max_examples=30)
@given(images(), phases)
def test_the_values_are_those_of_systemd_measure(oracle, sections, phases):
    assert values(image_of(sections), phases) == oracle.calculate(dict(sections), phases)


def test_the_default_phases_are_those_of_systemd_measure(oracle):
    assert values(image_of([(".linux", b"kernel")]), DEFAULT_PHASES) == oracle.calculate({".linux": b"kernel"}, [])


def test_what_is_loaded_as_zeros_is_measured(oracle):
    """A section can be larger in memory than in the file."""
    whole = bytearray(pe_file([(".text", b"\xc3"), (".linux", b"kernel")], room=ROOM))
    struct.pack_into("<I", whole, whole.index(b".linux") + 8, 5000)
    file = read_pe(Image.from_bytes(bytes(whole)), "uki")
    assert values(file, [":"]) == oracle.calculate({".linux": b"kernel".ljust(5000, b"\0")}, [":"])


def test_what_is_not_measured():
    """An empty section, the signatures, which have the values in them, and the stub's own code."""
    sections = [(".linux", b"kernel"), (".cmdline", b"quiet")]
    more = [*sections, (".initrd", b""), (".pcrsig", b"signatures"), (".data", b"data")]
    assert kernel_image_value(image_of(sections)) == kernel_image_value(image_of(more))


@given(images(), st.data())
def test_a_changed_byte_gives_another_value(sections, data):
    number = data.draw(st.integers(0, len(sections) - 1))
    name, content = sections[number]
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    others = [*sections[:number], (name, changed), *sections[number + 1 :]]
    assert kernel_image_value(image_of(sections)) != kernel_image_value(image_of(others))


def test_empty_words_are_left_out():
    assert normal_phases(["b:a", ":", "a::b:"]) == ["b:a", "", "a:b"]


@pytest.mark.parametrize(
    ("given_phases", "message"),
    [
        ([], "no phase is given"),
        ([""], "'': is not a phase"),
        (["a b"], "'a b': is not a phase"),
        (["ä"], "'ä': is not"),
        (["a", ":a"], "':a': this phase is given twice"),
    ],
)
def test_bad_phases(given_phases, message):
    with pytest.raises(UserError, match=message):
        normal_phases(given_phases)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([(".cmdline", b"quiet")], "uki: has no section .linux"),
        (
            [(".linux", b"k"), (".profile", b"ID=a")],
            "uki: has a section .profile: what is measured depends on the machine",
        ),
        ([(".linux", b"k"), (".dtbauto", b"a")], "uki: has a section .dtbauto"),
    ],
)
def test_refuses(sections, message):
    with pytest.raises(UserError, match=message):
        kernel_image_value(image_of(sections))
