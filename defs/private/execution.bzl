"""Where actions run: on Linux, and those that start programs of packages on the processor that these are for."""

LINUX = ["@platforms//os:linux"]

def _target_cpu_toolchain_impl(_ctx):
    return [platform_common.ToolchainInfo()]

target_cpu_toolchain = rule(
    implementation = _target_cpu_toolchain_impl,
    doc = "A toolchain without content: what counts is the execution platform that it is for.",
)
