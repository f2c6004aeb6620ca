"""The architecture of the machines that an image is for: that of the target platform."""

# Names by uname(1), and their CPUs in @platforms.
_CPUS = {
    "aarch64": "aarch64",
    "armv7l": "armv7",
    "i686": "x86_32",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86_64": "x86_64",
}

# By Debian's names.
DEBIAN_ARCHITECTURES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "i386": "i686",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

ARCHITECTURE_ATTRS = {
    "_cpus": attr.label_keyed_string_dict(
        default = {Label("@platforms//cpu:" + cpu): architecture for architecture, cpu in _CPUS.items()},
        providers = [platform_common.ConstraintValueInfo],
    ),
}

def platform_architecture(ctx):
    """Returns the architecture of the target platform as uname(1) names it, None if it has no known CPU.

    Args:
        ctx: of a rule with ARCHITECTURE_ATTRS.
    """
    for target, architecture in ctx.attr._cpus.items():
        if ctx.target_platform_has_constraint(target[platform_common.ConstraintValueInfo]):
            return architecture
    return None

def image_architecture(ctx):
    """Returns the attribute `architecture` of a target, or that of the target platform.

    Args:
        ctx: of a rule with ARCHITECTURE_ATTRS and an attribute `architecture`.
    """
    found = ctx.attr.architecture or platform_architecture(ctx)
    if not found:
        fail("%s: architecture: the target platform has none of the CPUs %s; set architecture, or --platforms" % (ctx.label, ", ".join(_CPUS.values())))
    return found
