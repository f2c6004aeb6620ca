#!/usr/bin/env bash
# Builds images of the GuestOS in the container, and puts them into artifacts/. See --help.

set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
workspace=$(cd "$here/../.." && pwd -P)

usage() {
    cat <<'EOF'
usage: build-ic.sh [OPTION…]

Builds the GuestOS in the container of container-run.sh. Without -b, -c and -i: as with -i, the disk of production, as
artifacts/icos/disk-img.tar.gz, and beside it update-keys.txt, the keys by which machines accept upgrades. Each folder
below artifacts/ gets the file SHA256SUMS, for `sha256sum --check`; files that it listed before and that are not built
now are removed. Images also have a .sha256 each.

options:
  -h, --help               this text
  -b, --binaries           the executables of the images, to artifacts/release: the target of -x, built or copied by
                           Bazel. The default, reference, is stand-ins, not the Internet Computer's executables
  -c, --canisters[=LABEL]  the files of a Bazel target, to artifacts/canisters; without LABEL, a warning, since this
                           repository builds no canisters
  -i, --icos               images, to artifacts/icos
  -i, --images=NAMES       the same; disk-img (default), update-img, or both, separated by a comma
  -f, --formats=NAMES      of the images: gz (default), zst, tar, or more of them, separated by commas
  -t, --type=TYPE          prod (default) or dev
  -v, --version=VERSION    what the images say of themselves; default: the commit of the checkout
  -x, --executables=WHAT   what runs in the images: reference (default), the payload in ic-os/guestos/payload;
                           artifacts, what is in artifacts/release; or the label of a Bazel target
  -d, --distribution=NAME  debian (default) or ubuntu: whose packages
      --update-keys=LABEL  Bazel target of the public keys by which machines of production accept upgrades; without it
                           they accept none, and a warning says so
      --signing-key=LABEL  Bazel target of the private key that signs upgrade images of production; without it no
                           machine accepts them, and a warning says so
      --secure-boot-key=LABEL, --secure-boot-certificate=LABEL
                           Bazel targets of the private key that signs boot loader and kernel of production for UEFI
                           Secure Boot, and of its certificate. Without them the images have the distribution's boot
                           loader, whose configuration nobody signs, and a warning says so
      --here               build without a container, with the bazel of this machine

exit status: 0, or 1 after an error; 125 when the container could not be set up.
EOF
}

fail() {
    printf 'build-ic: error: %s\n' "$*" >&2
    exit 1
}

parse_options() {
    images=disk-img formats=gz type=prod version="" executables=reference actions=() in_container=yes
    distribution="" update_keys="" signing_key="" secure_boot_key="" secure_boot_certificate="" canisters=""
    local name
    while [ $# -gt 0 ]; do
        name=$1
        shift
        case $name in
            --canisters=*) canisters=${name#*=} name=--canisters ;;
            --*=*) set -- "${name#*=}" "$@" && name=${name%%=*} ;;
            -[bci][bci]*) set -- "-${name:2}" "$@" && name=${name:0:2} ;;
        esac
        case $name in
            -h | --help) usage && exit 0 ;;
            -b | --binaries) actions+=(binaries) && continue ;;
            -c | --canisters) actions+=(canisters) && continue ;;
            -i | --images | --icos) actions+=(images) ;;
            --here) in_container=no && continue ;;
        esac
        # There are no arguments but options, so a word that is none is the value of -i.
        case $name:${1-} in -i: | -i:-* | --icos:*) continue ;; esac
        case $name in
            -i | --images | -f | --formats | -t | --type | -v | --version | -x | --executables | \
                -d | --distribution | --update-keys | --signing-key | --secure-boot-key | --secure-boot-certificate)
                [ $# -gt 0 ] && [ -n "$1" ] || fail "$name: needs a value"
                ;;
        esac
        case $name in
            -i | --images) images=$1 ;;
            -f | --formats) formats=$1 ;;
            -t | --type) type=$1 ;;
            -v | --version) version=$1 ;;
            -x | --executables) executables=$1 ;;
            -d | --distribution) distribution=$1 ;;
            --update-keys) update_keys=$1 ;;
            --signing-key) signing_key=$1 ;;
            --secure-boot-key) secure_boot_key=$1 ;;
            --secure-boot-certificate) secure_boot_certificate=$1 ;;
            *) fail "unknown option '$name'; --help lists the options" ;;
        esac
        shift
    done
    [ ${#actions[@]} -gt 0 ] || actions=(images)
    mapfile -t actions < <(printf '%s\n' "${actions[@]}" | sort --unique)
}

# check_words OPTION VALUE WORD…: the value is one or more of the words, separated by commas.
check_words() {
    local option=$1 value=$2 word
    shift 2
    [[ $value =~ [^,] ]] || fail "$option: must be one of: $*"
    for word in ${value//,/ }; do
        [[ " $* " == *" $word "* ]] || fail "$option: '$word' is none of: $*"
    done
}

# check_key OPTION VALUE FOLDER: the value is empty, or the label of a target with keys for production. FOLDER has those of dev.
check_key() {
    case $2 in
        "") return ;;
        //?* | @?*) ;;
        *) fail "$1: '$2' is not the label of a Bazel target" ;;
    esac
    [ "$type" = prod ] || fail "$1: dev has the key in ic-os/guestos/$3; leave it out, or build -t prod"
}

check_canisters() {
    case $canisters in
        "") [ "${actions[*]}" != canisters ] || fail "-c: this repository builds no canisters; give --canisters=LABEL" ;;
        //?* | @?*) ;;
        *) fail "--canisters: '$canisters' is not the label of a Bazel target" ;;
    esac
}

check_options() {
    check_words --images "$images" disk-img update-img
    check_words --formats "$formats" gz zst tar
    [ "$type" = prod ] || [ "$type" = dev ] || fail "--type: must be prod or dev, not '$type'"
    [[ $distribution =~ ^(|debian|ubuntu)$ ]] || fail "--distribution: must be debian or ubuntu, not '$distribution'"
    check_key --update-keys "$update_keys" update-keys
    check_key --signing-key "$signing_key" update-keys
    check_key --secure-boot-key "$secure_boot_key" secure-boot-keys
    check_key --secure-boot-certificate "$secure_boot_certificate" secure-boot-keys
    [ "${secure_boot_key:+x}" = "${secure_boot_certificate:+x}" ] ||
        fail "--secure-boot-key, --secure-boot-certificate: belong together; give both or none"
    check_canisters
    [ -n "$version" ] || version=$(checkout_version)
    [[ $version =~ ^[0-9A-Za-z.+~_-]+$ ]] || fail "--version: '$version' has other characters than letters, digits and . + ~ _ -"
    case $executables in
        reference) executables="" ;;
        artifacts)
            [ -e "$workspace/artifacts/release/replica" ] ||
                fail "--executables: artifacts/release has no replica; ic-os/guestos/scripts/get-artifacts.sh downloads it"
            executables=//artifacts:release
            ;;
        //?* | @?*) ;;
        *) fail "--executables: '$executables' is not reference, artifacts or the label of a Bazel target" ;;
    esac
}

# The commit, marked if files differ from it.
checkout_version() {
    local commit
    if ! commit=$(git -C "$workspace" rev-parse HEAD 2>/dev/null); then
        echo 0.0.0
    elif git -C "$workspace" diff --quiet HEAD 2>/dev/null; then
        echo "$commit"
    else
        echo "$commit-dirty"
    fi
}

# build FOLDER MODE BAZEL-OPTION… -- TARGET…: builds targets, and puts their outputs into a folder of artifacts/.
build() {
    local folder=$workspace/artifacts/$1 mode=$2 options=() root files file target
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    cd "$workspace"
    bazel build "${options[@]}" "$@"
    root=$(bazel info --noshow_progress execution_root)
    files=$(bazel cquery --noshow_progress --ui_event_filters=-info --output=files "${options[@]}" "set($*)")
    mkdir -p "$folder"
    while read -r file; do
        target=$folder/${file##*/}
        cp --reflink=auto "$root/$file" "$target.new"
        chmod "$mode" "$target.new"
        mv "$target.new" "$target"
        echo "$target"
    done <<<"$files"
    write_sums "$folder" "$files"
}

# write_sums FOLDER FILES: removes what SHA256SUMS lists and is not among these files, writes it anew, and prints it.
write_sums() {
    local folder=$1 file name names=() built=" "
    while read -r file; do
        name=${file##*/}
        built+="$name "
        [[ $name == *.sha256 ]] || names+=("$name")
    done <<<"$2"
    cd "$folder"
    if [ -f SHA256SUMS ]; then
        while read -r _ name; do
            name=${name#\*}
            [[ $built == *" $name "* || $name == */* ]] || rm -f -- "$name" "$name.sha256"
        done <SHA256SUMS
    fi
    printf '%s\n' "${names[@]}" | LC_ALL=C sort | xargs -d '\n' sha256sum --binary -- >SHA256SUMS.new
    mv SHA256SUMS.new SHA256SUMS
    cat SHA256SUMS
}

warn() {
    printf 'build-ic: warning: %s\n' "$*" >&2
}

# allow_missing_keys OPTIONS: adds to an array what lets Bazel build images of production without keys, and warns.
allow_missing_keys() {
    local -n added=$1
    [ "$type" = prod ] || return 0
    if [ -z "$secure_boot_key" ]; then
        warn "without --secure-boot-key, the images have the distribution's boot loader: who can write to the disk decides" \
            "what it starts"
        added+=(--//ic-os/guestos:prod_trust=distribution)
    fi
    if [ -z "$update_keys" ]; then
        warn "without --update-keys, machines with this image accept no upgrade, ever: it is for trying out only"
        added+=(--//ic-os/guestos:allow_prod_without_update_keys)
    fi
    if [ -z "$signing_key" ] && [[ ,$images, == *,update-img,* ]]; then
        warn "without --signing-key, the upgrade image is not signed, and no machine accepts it"
        added+=(--//ic-os/guestos:allow_unsigned_prod)
    fi
}

build_images() {
    local options=("--//ic-os/guestos:version=$version") targets=() image format file
    [ -z "$executables" ] || options+=("--//ic-os/guestos:release_binaries=$executables")
    [ -z "$distribution" ] || options+=("--//ic-os/guestos:distribution=$distribution")
    [ -z "$update_keys" ] || options+=("--//ic-os/guestos:update_keys=$update_keys")
    [ -z "$signing_key" ] || options+=("--//ic-os/guestos:signing_key=$signing_key")
    [ -z "$secure_boot_key" ] || options+=(
        "--//ic-os/guestos:secure_boot_key=$secure_boot_key"
        "--//ic-os/guestos:secure_boot_certificate=$secure_boot_certificate"
    )
    for image in ${images//,/ }; do
        for format in ${formats//,/ }; do
            file=//ic-os/guestos/$type:$image.tar
            [ "$format" = tar ] || file=$file.$format
            targets+=("$file" "$file.sha256")
        done
    done
    targets+=("//ic-os/guestos/$type:update-keys.txt")
    allow_missing_keys options
    build icos 644 "${options[@]}" -- "${targets[@]}"
    cat "$workspace/artifacts/icos/update-keys.txt" >&2
}

build_binaries() {
    local options=(--output_groups=executables)
    [ -z "$executables" ] || options+=("--//ic-os/guestos:release_binaries=$executables")
    build release 755 "${options[@]}" -- "//ic-os/guestos/$type:payload"
}

build_canisters() {
    if [ -z "$canisters" ]; then
        warn "-c: no canisters are built, since this repository has none; give --canisters=LABEL"
        return
    fi
    build canisters 644 -- "$canisters"
}

main() {
    parse_options "$@"
    check_options
    if [ "$in_container" = yes ]; then
        exec "$here/container-run.sh" "$here/build-ic.sh" --here "$@" "--version=$version"
    fi
    local action
    for action in "${actions[@]}"; do "build_$action"; done
}

main "$@"
