"""The rule debian_base_root."""

load("//defs/private:architecture.bzl", "ARCHITECTURE_ATTRS", "DEBIAN_ARCHITECTURES", "platform_architecture")
load("//defs/private:command_action.bzl", "PROCESS_REQUIREMENTS", "command_action")
load("//defs/private:debian_providers.bzl", "DebianInstalledInfo", "DebianPackagesInfo")
load("//defs/private:execution.bzl", "LINUX")
load("//defs/private:json_spec.bzl", "command_args")
load("//defs/private:resources.bzl", "installation_resources")

_TARGET_CPU = Label("//defs/execution:target_cpu")

def _check_processor(ctx, packages):
    """Fails unless the packages are for the target platform, and there is a machine that can start their programs."""
    architecture = platform_architecture(ctx)
    if not architecture:
        return
    for package in packages:
        meant = DEBIAN_ARCHITECTURES.get(package.architecture)
        if meant not in (None, architecture):
            fail("%s: packages: %s is for %s, and the target platform for %s; set --platforms, or lock the packages for it" % (ctx.label, package.name, package.architecture, architecture))
    if ctx.toolchains[_TARGET_CPU] == None:
        fail("%s: the installation starts programs for %s, and no execution platform is Linux on %s; add one by --extra_execution_platforms, such as a remote executor" % (ctx.label, architecture, architecture))

def _debian_base_root_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar")
    packages = ctx.attr.packages[DebianPackagesInfo]
    all_packages = packages.packages + [info for target in ctx.attr.extra_packages for info in target[DebianPackagesInfo].packages]
    _check_processor(ctx, all_packages)
    debs = [info.deb for info in all_packages]
    installer = [info.deb for info in ctx.attr.installer[DebianPackagesInfo].packages]
    args = command_args(
        ctx,
        deb = debs,
        exclude = ctx.attr.exclude,
        include = ctx.attr.include,
        installer = installer,
        output = output,
        provided = packages.provided,
    )
    command_action(
        ctx,
        "DebianBaseRoot",
        ctx.executable._debian_base_root,
        args,
        debs + installer,
        [output],
        message = "Installing Debian packages into %{output}",
        requirements = PROCESS_REQUIREMENTS | {"block-network": "1"},
        resources = installation_resources,
    )
    return [DefaultInfo(files = depset([output])), DebianInstalledInfo(locks = depset(packages.locks))]

debian_base_root = rule(
    implementation = _debian_base_root_impl,
    doc = """A tar of a root file system in which a set of packages is installed.

The packages' maintainer scripts run without a network, in a root that contains only these packages. Nothing of the build
machine but its kernel takes part, and the tar is the same on every machine.

The root is in memory where its files take at most a quarter of what is available, which is faster; else it is on disk.
The action needs a user namespace, or root. If neither is available, its error message lists the alternatives.""",
    attrs = ARCHITECTURE_ATTRS | {
        "exclude": attr.string_list(
            doc = "Patterns of paths to leave out, without a leading slash; `*` matches slashes too. A directory that " +
                  "matches is left out if it is empty then. The packages' database still lists the excluded files; " +
                  "the index of kernel modules doesn't, since depmod makes it again. What a pattern that ends in `/*` excludes " +
                  "below usr/lib/modules and usr/share/doc, info, locale and man is not there for maintainer scripts either; " +
                  "other excluded files are removed when these have run.",
        ),
        "extra_packages": attr.label_list(
            providers = [DebianPackagesInfo],
            doc = "Packages that no lock has, such as a debian_package of a .deb that the build makes. They are installed " +
                  "together with `packages`, which must have what they depend on.",
        ),
        "include": attr.string_list(doc = "Patterns of paths to keep although `exclude` matches."),
        "installer": attr.label(
            mandatory = True,
            providers = [DebianPackagesInfo],
            doc = "The packages fakeroot, libfakeroot and libeatmydata1 of the same release, which the installation " +
                  "uses; they are not installed.",
        ),
        "packages": attr.label(
            mandatory = True,
            providers = [DebianPackagesInfo],
            doc = "The packages to install: a set with `essential = true` in its manifest.",
        ),
        "_debian_base_root": attr.label(default = "//tools/commands:debian_base_root", executable = True, cfg = "exec"),
    },
    exec_compatible_with = LINUX,
    toolchains = [config_common.toolchain_type(_TARGET_CPU, mandatory = False)],
    provides = [DebianInstalledInfo],
)
