"""Own-key mode: the firmware trusts a product's certificate alone, and starts only what its key has signed."""

load("//defs/private:debian_data.bzl", "debian_file")
load("//defs/private:grub_image.bzl", "grub_image")
load("//defs/private:grub_signature.bzl", "grub_signature")
load("//defs/private:secure_boot_keys.bzl", "secure_boot_keys")
load("//defs/private:unified_kernel_image.bzl", "unified_kernel_image")

# Modules of GRUB that find the partitions, read the state and start the image of a slot.
_MODULES = ["chain", "echo", "ext2", "fat", "loadenv", "part_gpt", "reboot", "regexp", "sleep", "test"]

# The initramfs finds its slot by the variable StubDevicePartUUID, which stubs of later versions write.
_MIN_STUB_VERSION = 257

# The initramfs has no systemd, which would measure a phase of the boot: until sysinit.target is reached, the register is as
# the stub left it.
_PCR_PHASES = [":"]

_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"

def own_keys(
        key,
        certificate,
        grub,
        stub,
        platform_key = None,
        platform_certificate = None,
        exchange_key = None,
        exchange_certificate = None,
        pcr_key = None,
        pcr_public_key = None,
        ovmf_template = None):
    """Keys and programs of own-key mode, for the attribute `secure_boot` of `ab_system`.

    In this mode the firmware trusts the product's certificate alone. It starts a GRUB with the choice of the slot in it,
    `grub_image`, which starts only the signed `unified_kernel_image` of a slot: kernel, initramfs and the command line with
    the root hash. There is no shim. Machines need the keys in their firmware, once, before they can boot: `NAME.enroll` of
    `ab_system` has them as files.

    ```starlark
    ab_system(
        name = "disk",
        secure_boot = own_keys(
            certificate = "//keys:secure-boot.pem",
            grub = "@packages//packages:grub-efi-amd64-bin",
            key = "//keys:secure-boot.key.pem",
            ovmf_template = ":ovmf_variables",
            stub = "@packages//packages:systemd-boot-efi",
        ),
        # its other attributes, without grub and shim
    )

    debian_file(
        name = "ovmf_variables",
        src = "@packages//packages:ovmf",
        path = "usr/share/OVMF/OVMF_VARS_4M.fd",
    )

    vm_boot_test(
        name = "boot_test",
        disk = ":disk.tar",
        firmware_variables = ":disk.enroll",
        units = ["multi-user.target"],
    )
    ```

    The packages are in a set of the manifest with `dependencies = false`. openssl makes the key and its certificate:

    ```sh
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=example/ -keyout keys/secure-boot.key.pem -out keys/secure-boot.pem
    ```

    The key signs on the machine that builds. For a key that must not be there, put the image together from the rules
    `unified_kernel_image`, `grub_image` and `grub_signature`, which take signatures that were made elsewhere.

    Args:
        key: the private key that signs boot loader and kernel images: RSA with 2048 bits or more, as PEM.
        certificate: its certificate, as PEM.
        grub: the package with GRUB's modules, Debian's grub-efi-amd64-bin.
        stub: the package with systemd's stub, Debian's systemd-boot-efi, version 257 or later (Debian 13): an earlier one
            does not tell the initramfs where it was loaded from, and is an error of the build.
        platform_key: the private key that owns the machines (PK); by default `key`, which suits tests.
        platform_certificate: its certificate.
        exchange_key: the private key that changes the certificates on machines later (KEK); by default `key`.
        exchange_certificate: its certificate.
        pcr_key: a private key, RSA with 2048 bits, as PEM. With it the kernel images have signatures of PCR 11, by which a TPM
            opens what is sealed to this key, until the system reaches sysinit.target. The initramfs leaves them where systemd
            looks for them: `/run/systemd/tpm2-pcr-signature.json` and `/run/systemd/tpm2-pcr-public-key.pem`.
        pcr_public_key: its public key, as PEM.
        ovmf_template: an empty variable store of OVMF; with it there is also one with these keys, for virtual machines:
            `NAME.launch` boots with it, and `vm_boot_test` with `firmware_variables`.
    """
    for key_name, public_name, private, public in (
        ("platform_key", "platform_certificate", platform_key, platform_certificate),
        ("exchange_key", "exchange_certificate", exchange_key, exchange_certificate),
        ("pcr_key", "pcr_public_key", pcr_key, pcr_public_key),
    ):
        if bool(private) != bool(public):
            fail("own_keys: %s, %s: belong together; give both or none" % (key_name, public_name))
    return struct(
        certificate = certificate,
        exchange_certificate = exchange_certificate or certificate,
        exchange_key = exchange_key or key,
        grub = grub,
        key = key,
        ovmf_template = ovmf_template,
        pcr_key = pcr_key,
        pcr_public_key = pcr_public_key,
        platform_certificate = platform_certificate or certificate,
        platform_key = platform_key or key,
        stub = stub,
    )

def own_keys_loader(name, keys, configs, **kwargs):
    """Declares the signed boot loader `NAME.efi`.

    Args:
        name: of the target.
        keys: from `own_keys`.
        configs: the parts of its configuration, in order.
        **kwargs: common attributes.
    """
    grub_image(
        name = name,
        src = keys.grub,
        certificate = keys.certificate,
        configs = configs,
        modules = _MODULES,
        secure_boot_certificate = keys.certificate,
        secure_boot_key = keys.key,
        **kwargs
    )

def own_keys_kernel(name, keys, common, **kwargs):
    """Declares the signed image of a slot, `NAME.efi`, and its signature for the boot loader, `NAME.grub.sig`.

    Args:
        name: of the target.
        keys: from `own_keys`.
        common: dict of common attributes.
        **kwargs: attributes of the `unified_kernel_image`.
    """
    stub = name + ".stub"
    debian_file(name = stub, src = keys.stub, packages = ["systemd-boot-efi"], path = _STUB, **common)
    if keys.pcr_key:
        kwargs |= {"pcr_key": keys.pcr_key, "pcr_phases": _PCR_PHASES, "pcr_public_key": keys.pcr_public_key}
    unified_kernel_image(
        name = name,
        min_stub_version = _MIN_STUB_VERSION,
        secure_boot_certificate = keys.certificate,
        secure_boot_key = keys.key,
        stub = stub,
        **(common | kwargs)
    )
    grub_signature(
        name = name + ".grub",
        src = name,
        certificate = keys.certificate,
        key = keys.key,
        **common
    )

def own_keys_enrollment(name, keys, owner, **kwargs):
    """Declares what enrolls the keys in firmware; see `secure_boot_keys`.

    Args:
        name: of the target.
        keys: from `own_keys`.
        owner: GUID that names the product.
        **kwargs: common attributes.
    """
    secure_boot_keys(
        name = name,
        certificates = [keys.certificate],
        exchange_certificate = keys.exchange_certificate,
        exchange_key = keys.exchange_key,
        ovmf_template = keys.ovmf_template,
        owner = owner,
        platform_certificate = keys.platform_certificate,
        platform_key = keys.platform_key,
        **kwargs
    )
