#!/usr/bin/env bash
# The definition of the build environment's image, all of it.
#
# container-run.sh sources this file for the list of packages, and mmdebstrap runs it as a hook, with the root folder
# as its argument, to set up what packages alone don't. Any change here, be it in a comment, makes a new image.

# shellcheck disable=SC2034 # container-run.sh reads it
suite=sid # has the Bazel of .bazelversion
# shellcheck disable=SC2034
variant=apt # of mmdebstrap: the essential packages and apt
# shellcheck disable=SC2034
packages=(
    # The build.
    bazel-bootstrap bazel-rules-python bazel-rules-pkg bazel-skylib bazel-platforms bazel-rules-cc bazel-rules-java
    bazel-rules-license bazel-rules-proto bazel-rules-shell bazel-features bazel-lib bazel-stardoc
    python3 git ca-certificates ca-certificates-java
    libblake3-0 # without it, Bazel's native code isn't loaded, which reads attributes of files; no package depends on it
    # The toolchain of base root trees: installs the locked Debian packages.
    mmdebstrap fakeroot dpkg apt gpgv debian-archive-keyring
    # Oracles: they read what the tools write, and never make it.
    apparmor attr binutils cpio cryptsetup-bin dosfstools e2fsprogs erofs-utils fdisk gdisk gnupg grub-common
    libarchive-tools libarchive13t64 mtools mtree-netbsd nftables openssl passwd
    python3-selinux selinux-utils
    sbsigntool squashfs-tools
    sudo systemd
    pigz tar xz-utils zstd
    # Virtual machines.
    ovmf qemu-system-x86 qemu-utils openssh-client swtpm
    qemu-efi-aarch64 qemu-system-arm
    # A host of a test network.
    libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-log openssh-server
    # Servers of a cache and of remote execution, on loopback.
    buildbox nginx postgresql
    # Another Python and another clock, for a second build that must give the same bytes.
    libfaketime python3.13
    # What a person or a script expects in a shell, and containers inside this one.
    bash-completion bubblewrap curl file less mount procps util-linux
)

# The modules that Debian has, by the names of their folders. Those that every module graph holds, Bazel's own being
# part of it, get an override: whatever version is asked for, it is this one.
declare -A graph_modules=(
    [bazel_features]=tools/features [bazel_skylib]=tools/skylib [platforms]=tools/platforms [rules_cc]=rules/cc
    [rules_java]=rules/java [rules_license]=rules/license [rules_proto]=rules/proto [rules_python]=rules/python
)
# An override of a module that the graph doesn't hold would be an error; these stand in the offline registry, under
# every version that was published to the central one.
declare -A registry_modules=([bazel_lib]=tools/bazel_lib [rules_pkg]=rules/pkg [rules_shell]=rules/shell [stardoc]=tools/stardoc)
declare -A versions=(
    [bazel_lib]="3.0.0 3.0.1 3.1.0 3.1.1 3.2.0 3.2.1 3.2.2 3.3.0 3.4.0 3.5.0 3.6.0 3.7.0 3.7.1 3.7.2"
    [rules_pkg]="0.5.1 0.6.0 0.7.0 0.8.0 0.8.1 0.9.0 0.9.1 0.10.0 0.10.1 1.0.0 1.0.1 1.1.0 1.2.0"
    [rules_shell]="0.1.1 0.1.2 0.2.0 0.3.0 0.4.0 0.4.1 0.5.0 0.5.1 0.6.0 0.6.1"
    [stardoc]="0.5.0 0.5.1 0.5.3 0.5.4 0.5.6 0.6.0 0.6.1 0.6.2 0.7.0 0.7.1 0.7.2 0.8.0 0.8.1"
)
# Modules of every graph that nothing here loads anything from.
stub_modules=(apple_support buildozer protobuf zlib)

write_registry() {
    local bazel=$1/usr/share/bazel name version entry
    mkdir -p "$bazel/registry/modules"
    echo '{}' >"$bazel/registry/bazel_registry.json"
    for name in "${!registry_modules[@]}"; do
        for version in ${versions[$name]}; do
            entry=$bazel/registry/modules/$name/$version
            mkdir -p "$entry"
            # The version stands in the module() call, the first one of the file.
            sed "0,/version *=/s/version *= *\"[^\"]*\"/version = \"$version\"/" \
                "$bazel/${registry_modules[$name]}/MODULE.bazel" >"$entry/MODULE.bazel"
            echo "{\"type\":\"local_path\",\"path\":\"/usr/share/bazel/${registry_modules[$name]}\"}" >"$entry/source.json"
        done
    done
    for name in "${stub_modules[@]}"; do
        mkdir -p "$bazel/stubs/$name"
        echo "module(name = \"$name\")" >"$bazel/stubs/$name/MODULE.bazel"
        : >"$bazel/stubs/$name/BUILD.bazel"
    done
    # Bazel's own MODULE.bazel uses this extension; `bazel mod tidy`, the one user of the binary, is not offered.
    cat >"$bazel/stubs/buildozer/buildozer_binary.bzl" <<'EOF'
def _repository_impl(rctx):
    rctx.file("BUILD.bazel")
    rctx.file("buildozer.exe", "", executable = True)

_repository = repository_rule(implementation = _repository_impl)

buildozer_binary = module_extension(implementation = lambda _: _repository(name = "buildozer_binary"))
EOF
}

# Prints what tells images apart that differ in a package's version or in this file.
content_of() { { chroot "$1" dpkg-query --show && cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-16; }

# The system's bazelrc, after Debian's own lines: what makes this Bazel work without the central registry.
write_bazelrc() {
    local name
    {
        echo
        echo "# https://bazel.build/external/registry: the central one is not asked"
        echo "common --registry=file:///usr/share/bazel/registry"
        for name in "${!graph_modules[@]}"; do
            echo "common --override_module=$name=/usr/share/bazel/${graph_modules[$name]}"
        done | LC_ALL=C sort
        for name in "${stub_modules[@]}"; do
            echo "common --override_module=$name=/usr/share/bazel/stubs/$name"
        done
        # For all commands: options of tests that differ between two commands make Bazel analyze everything again.
        echo "# every oracle is here: a test without its oracle fails"
        echo "build --test_env=ICOS_REQUIRE_ORACLES=1"
        echo "# results of tests are those of this image: https://bazel.build/remote/caching"
        echo "build --test_env=ICOS_IMAGE_CONTENT=$(content_of "$1")"
        echo "# Debian's bazelrc keeps every sandbox for inspection"
        echo "build --nosandbox_debug"
    } >>"$1/etc/bazel/bazelrc"
    # A flag that does nothing any more but warn.
    sed -i '/--host_javabase/d' "$1/etc/bazel/bazelrc"
}

# Completes Bazel in bash: Debian's package has the lists of commands and flags, but no function that uses them.
write_completion() {
    cat >>"$1/usr/share/bash-completion/completions/bazel" <<'EOF'
_bazel() {
    local cur prev words cword comp_args word command=""
    _comp_initialize -n =: -- "$@" || return
    for word in "${words[@]:1:cword-1}"; do
        [[ $word == -* ]] || command=${command:-$word}
    done
    local flags=BAZEL_COMMAND_${command^^}_FLAGS argument=BAZEL_COMMAND_${command^^}_ARGUMENT
    flags=${flags//-/_} argument=${argument//-/_}
    [ -n "$command" ] || flags=BAZEL_STARTUP_OPTIONS
    case $cur in
        -*=*) _bazel_values "${!flags}" ;;
        -*) _bazel_flags "${!flags}" ;;
        *) case $command/${!argument-} in
            /) mapfile -t COMPREPLY < <(compgen -W "$BAZEL_COMMAND_LIST" -- "$cur") ;;
            */info-key) mapfile -t COMPREPLY < <(compgen -W "$BAZEL_INFO_KEYS" -- "$cur") ;;
            */label*) _bazel_labels ;;
        esac ;;
    esac
}

_bazel_flags() { # FLAGS, one a line, such as --color={yes,no} or --jobs=
    mapfile -t COMPREPLY < <(compgen -W "$(sed 's/=.*/=/' <<<"$1")" -- "$cur")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
}

_bazel_values() {
    local values
    values=$(sed -n "s/^${cur%%=*}={\(.*\)}/\1/p" <<<"$1")
    if [ -n "$values" ]; then
        mapfile -t COMPREPLY < <(compgen -W "${values//,/ }" -- "${cur#*=}")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "${cur#*=}")
    fi
}

# Completes packages by their folders, and targets by a query, unless Bazel is at work.
_bazel_labels() {
    local root=$PWD
    until [ -e "$root/MODULE.bazel" ] || [ -e "$root/WORKSPACE" ] || [ -z "$root" ]; do root=${root%/*}; done
    case $cur in
        *:*)
            mapfile -t COMPREPLY < <(compgen -W "$(bazel --noblock_for_lock query "${cur%%:*}:all" 2>/dev/null |
                sed "s|.*:|${cur%%:*}:|")" -- "$cur")
            _comp_ltrim_colon_completions "$cur"
            ;;
        //*)
            compopt -o nospace
            mapfile -t COMPREPLY < <(cd "${root:-/}" && for word in $(compgen -d -- "${cur#//}"); do
                [ -z "$(compgen -d -- "$word/")" ] || echo "//$word/"
                [ ! -e "$word/BUILD.bazel" ] && [ ! -e "$word/BUILD" ] || echo "//$word:"
            done)
            ;;
    esac
}

complete -F _bazel bazel
EOF
}

customize() {
    local root=$1
    # Without this library beside its jars, Bazel's server crashes at the first zstd archive.
    ln -s /usr/lib/x86_64-linux-gnu/libzstd-jni.so "$root/usr/share/bazel/"
    # The name that the firmware has in older releases and other distributions, and in much that is written about it.
    ln -s ../ovmf/OVMF.fd "$root/usr/share/OVMF/OVMF_CODE.fd"
    # shellcheck disable=SC2016 # expanded by the shell that reads it
    echo '. /usr/share/bash-completion/bash_completion' >>"$root/etc/bash.bashrc"
    write_completion "$root"
    write_registry "$root"
    write_bazelrc "$root"
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    customize "${1:?usage: image.sh ROOT (a hook of mmdebstrap)}"
fi
