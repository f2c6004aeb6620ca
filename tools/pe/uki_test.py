import pefile
import pytest

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.pe.headers import read_pe
from tools.pe.uki import Parts, kernel_version, merged_sbat, stub_version, unified_kernel_image
from tools.testing.pe_files import SBAT, arm_kernel, kernel, pe_file

HEADER = SBAT.splitlines(keepends=True)[0]


def image(data):
    return Image.from_bytes(data)


ARM_STUB = image(pe_file(machine=0xAA64))


def parts(**changes):
    values = {
        "stub": image(pe_file()),
        "kernel": image(kernel()),
        "initrd": image(b"initrd"),
        "os_release": image(b"ID=test\n"),
        "words": ["quiet", "root_hash=00ff"],
    }
    return Parts(**values | changes)


def sections(made):
    file = pefile.PE(data=made.read(0, made.size))
    return {each.Name.rstrip(b"\0").decode(): each.get_data()[: each.Misc_VirtualSize] for each in file.sections}


def test_all_parts_are_sections():
    assert sections(unified_kernel_image(parts())) == {
        ".text": b"\xc3",
        ".sbat": SBAT,
        ".osrel": b"ID=test\n",
        ".cmdline": b"quiet root_hash=00ff --",
        ".uname": b"6.12.0-test",
        ".initrd": b"initrd",
        ".linux": kernel(),
    }


def test_the_product_has_its_own_generation():
    made = sections(unified_kernel_image(parts(sbat=HEADER + b"product,2,Vendor,product,1.2.3,https://example\n")))
    assert made[".sbat"] == SBAT + b"product,2,Vendor,product,1.2.3,https://example\n"


VERSIONS = [
    (b"#### LoaderInfo: systemd-stub 257.9-1~deb13u1 ####", 257),
    (b"#### LoaderInfo: systemd-stub 257 ####\0\0", 257),
    (b"#### LoaderInfo: systemd-stub 258~rc1 ####", 258),
    (b"#### LoaderInfo: systemd-stub 1000.1 ####", 1000),
    (b"#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####", 252),
]


def stub_of(magic):
    return image(pe_file([(".text", b"\xc3"), (".sbat", SBAT), (".sdmagic", magic)]))


@pytest.mark.parametrize(("magic", "version"), VERSIONS)
def test_the_version_of_the_stub(magic, version):
    assert stub_version(read_pe(stub_of(magic), "stub")) == version
    assert ".sdmagic" in sections(unified_kernel_image(parts(stub=stub_of(magic), min_stub_version=version)))
    message = f"^stub: is of systemd {version}, and must be of {version + 1} or later, since an older"
    with pytest.raises(UserError, match=message):
        unified_kernel_image(parts(stub=stub_of(magic), min_stub_version=version + 1))


@pytest.mark.parametrize("magic", [None, b"#### LoaderInfo: systemd-boot 257 ####", b"systemd-stub 257"])
def test_a_stub_without_a_version_is_refused_only_where_one_is_needed(magic):
    stub = image(pe_file()) if magic is None else stub_of(magic)
    assert unified_kernel_image(parts(stub=stub)).size
    with pytest.raises(
        UserError, match=r"^stub: is not systemd's stub: its section \.sdmagic does not say the version"
    ):
        unified_kernel_image(parts(stub=stub, min_stub_version=1))


def test_a_large_initramfs_is_not_read():
    """The image is described by ranges of its parts; nothing is copied before it is written."""

    class Unread(Data):
        def read(self, offset, length):
            raise AssertionError("was read")

    large = Image(3 << 30, [Extent(0, 3 << 30, Unread(b""))])
    assert unified_kernel_image(parts(initrd=large)).size > 3 << 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": image(b"k" * 5000)}, "kernel: is not a Linux kernel for x86"),
        ({"kernel": image(b"")}, "kernel: is not a Linux kernel for x86"),
        ({"kernel": image(kernel(version=""))}, "kernel: its header has no version"),
        ({"kernel": image(b"\x1f\x8b" + b"k" * 5000)}, "kernel: is compressed; give the uncompressed Image"),
        ({"kernel": image(b"MZ\0\0zimg" + b"k" * 5000)}, "kernel: is compressed; give the uncompressed Image"),
        (
            {"kernel": image(arm_kernel())},
            "stub: is for x86-64, and the kernel for 64-bit Arm; give linuxaa64.efi.stub",
        ),
        ({"stub": ARM_STUB}, "stub: is for 64-bit Arm, and the kernel for x86-64; give linuxx64.efi.stub"),
        (
            {"stub": image(pe_file(machine=0x5064)), "kernel": image(arm_kernel())},
            "stub: is for processor 0x5064, and the kernel for 64-bit Arm",
        ),
        ({"stub": ARM_STUB, "kernel": image(arm_kernel(""))}, "kernel: does not contain its version"),
        ({"initrd": image(b"")}, ".initrd: is empty"),
        ({"words": []}, ".cmdline: is empty"),
        ({"words": ["quiet", "--", "x"]}, "--: ends the arguments of the kernel"),
        ({"words": ["a b"]}, "'a b': must be printable ASCII"),
        ({"words": ["ä"]}, "'ä': must be printable ASCII"),
        ({"os_release": image(b"")}, ".osrel: is empty"),
        ({"stub": image(pe_file([(".text", b"x"), (".linux", b"x")]))}, "stub: has a section .linux already"),
        ({"stub": image(b"x" * 1000)}, "stub: is not a PE file"),
        ({"sbat": b"product\n"}, "sbat: b'product' is not a line COMPONENT,GENERATION"),
        ({"sbat": b"product,0\n"}, "sbat: b'product,0' is not a line COMPONENT,GENERATION"),
        ({"initrd": Image(5 << 30)}, "with .initrd it would be larger than 4 GiB"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(UserError, match=message):
        unified_kernel_image(parts(**changes))


def test_sbat_needs_the_line_of_the_format_once():
    assert merged_sbat(b"", HEADER + b"a,1\n\0\0") == HEADER + b"a,1\n"
    with pytest.raises(UserError, match="the first line is b'a,1', but must be that of the format"):
        merged_sbat(b"", b"a,1\n")


def test_for_64_bit_arm():
    made = sections(unified_kernel_image(parts(stub=ARM_STUB, kernel=image(arm_kernel("6.12.48-arm64")))))
    assert made[".uname"] == b"6.12.48-arm64"
    assert made[".linux"] == arm_kernel("6.12.48-arm64")


@pytest.mark.parametrize("place", [0x1000, (1 << 20) - 20, (3 << 20) + 5])
def test_the_version_of_a_kernel_for_arm(place):
    """Wherever the banner is, between two pieces that are read, too."""
    assert kernel_version(image(arm_kernel("6.12.48-arm64", place))) == b"6.12.48-arm64"


def test_the_version_of_the_kernel():
    assert kernel_version(image(kernel("6.12.48+deb13-cloud-amd64"))) == b"6.12.48+deb13-cloud-amd64"
