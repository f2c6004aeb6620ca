"""Rules for locked Debian packages, which the repositories of third_party/debian use."""

load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "command_action")
load("//defs/private:debian_providers.bzl", "DebianPackageInfo", "DebianPackagesInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")

def _debian_package_impl(ctx):
    info = DebianPackageInfo(
        architecture = ctx.attr.architecture,
        deb = ctx.file.deb,
        name = ctx.attr.package,
        version = ctx.attr.version,
    )
    return [
        DefaultInfo(files = depset([ctx.file.deb])),
        DebianPackagesInfo(locks = [], packages = [info], provided = []),
    ]

debian_package = rule(
    implementation = _debian_package_impl,
    doc = """One package, from its file: for `extra_packages` of debian_base_root, `debian_data` and `debian_file`.

The packages of a lock have such targets already.""",
    attrs = {
        "architecture": attr.string(mandatory = True, doc = "Architecture that the package is for, or `all`."),
        "deb": attr.label(mandatory = True, allow_single_file = [".deb"], doc = "The package file."),
        "package": attr.string(mandatory = True, doc = "Name of the package."),
        "version": attr.string(mandatory = True, doc = "Version of the package."),
    },
    exec_compatible_with = LINUX,
    provides = [DebianPackagesInfo],
)

def _debian_package_set_impl(ctx):
    packages = [info for target in ctx.attr.packages for info in target[DebianPackagesInfo].packages]
    checked = ctx.actions.declare_file(ctx.label.name + ".lock_checked")

    # In a file: the Python that rules_python 1.7 to 2.3 find on the machine splits words of a command line at spaces.
    args = command_args(ctx, command = ctx.attr.command, lock = ctx.file.lock, manifest = ctx.file.manifest, output = checked)
    inputs = [ctx.file.manifest, ctx.file.lock]
    command_action(ctx, "DebianLockCheck", ctx.executable._debian_lock_check, args, inputs, [checked], "Checking %{input}", PROCESS_REQUIREMENTS)
    return [
        DefaultInfo(files = depset([info.deb for info in packages])),
        DebianPackagesInfo(locks = [ctx.file.lock], packages = packages, provided = ctx.attr.provided),
        OutputGroupInfo(_validation = depset([checked])),
    ]

debian_package_set = rule(
    implementation = _debian_package_set_impl,
    doc = "A set of packages that were resolved together. A build that uses it fails if the lock does not match its " +
          "manifest.",
    attrs = {
        "command": attr.string(mandatory = True, doc = "The command that updates the lock, for messages."),
        "lock": attr.label(mandatory = True, allow_single_file = [".json"], doc = "The lock that lists the set."),
        "manifest": attr.label(mandatory = True, allow_single_file = [".toml"], doc = "The manifest of the lock."),
        "packages": attr.label_list(providers = [DebianPackagesInfo], doc = "The packages."),
        "provided": attr.string_list(doc = "Virtual packages that the image provides by other means."),
        "_debian_lock_check": attr.label(default = "//tools/commands:debian_lock_check", executable = True, cfg = "exec"),
    },
    provides = [DebianPackagesInfo],
)
