# shellcheck shell=bash disable=SC2154 # sourced by container-run.sh, whose variables it uses
# The image: a folder with a root tree, made by mmdebstrap from the definition.

# Counts up when the way an image is made from its definition changes.
image_format=1

host_certificates() { find /usr/local/share/ca-certificates -name '*.crt' -type f 2>/dev/null | LC_ALL=C sort; }

# Sets `definition`, `image_id` and `image`: the folder of the current definition's image, be it there or not.
find_image() {
    definition=$(readlink -f "${ICOS_IMAGE_DEFINITION:-$here/image.sh}")
    [ -r "$definition" ] || fail "the image's definition ${ICOS_IMAGE_DEFINITION:-} cannot be read"
    local certificates
    mapfile -t certificates < <(host_certificates)
    image_id=$({
        echo "$image_format $(uname -m) $(id -u)"
        cat "$definition" ${certificates[@]+"${certificates[@]}"}
    } | sha256sum | cut -c1-16)
    image=$cache/images/$image_id
}

# Makes the image unless it is there. Of several callers one makes it, and the others wait for that one.
make_image() {
    [ ! -e "$image/ready" ] || return 0
    install_tools mmdebstrap:mmdebstrap flock:util-linux tar:tar update-ca-certificates:ca-certificates
    local lock
    exec {lock}>"$cache/images/lock"
    if ! flock --nonblock "$lock"; then
        say "waiting for another call that makes the image"
        flock "$lock"
    fi
    # mmdebstrap unmounts and removes what it made, which takes a while.
    [ -e "$image/ready" ] || grace=60 supervise send_to_descendants bootstrap_image || exit
    exec {lock}>&-
}

bootstrap_image() {
    local started=$SECONDS
    say "making the image of the build environment, once; this takes a few minutes"
    rm -rf "$image" "$image.new"
    mkdir -p "$image.new/root"
    # File descriptor 3 is the root tree on its way from mmdebstrap to tar; its messages take the other pipe.
    if ! { run_mmdebstrap 2>&1 >&3 | show_progress "$image.new/log"; } 3>&1 | unpack_root; then
        tail -n 15 "$image.new/log" >&2
        fail "the image could not be made; the whole log is $image.new/log" \
            "is $(mirror) reached from here? another one is taken from ICOS_DEBIAN_MIRROR, a proxy from http_proxy" \
            "is there space in $cache? the image takes 2 GB"
    fi
    check_suite "$image.new/root/$suite_record"
    prepare_root "$image.new/root"
    touch "$image.new/ready"
    mv "$image.new" "$image"
    say "made the image in $((SECONDS - started)) s: $image"
}

# Signatures protect what comes from a mirror; with HTTPS nobody on the way can hold back newer package lists either.
mirror() { echo "${ICOS_DEBIAN_MIRROR:-https://deb.debian.org/debian}"; }

# Where the image has the dates of the signed Release files of its packages.
suite_record=etc/icos-image-suite

# check_suite FILE: reports package lists that are past the Valid-Until date of their Release file: a mirror stands
# still, or somebody on the way repeats old lists, so that security updates may be missing. A stable suite has no such
# date. https://wiki.debian.org/DebianRepository/Format
check_suite() {
    local release until late text
    release=$(sed -n 's/^Date: //p' "$1" | head -n 1)
    until=$(sed -n 's/^Valid-Until: //p' "$1" | head -n 1)
    [ -n "$release" ] || fail "the package lists of $(mirror) have no date" "the log is $image.new/log"
    [ -n "$until" ] || return 0
    late=$(($(date +%s) - $(date --date="$until" +%s)))
    [ "$late" -gt 0 ] || return 0
    text="the package lists of $(mirror) are of $release and ended being valid $((late / 86400)) days ago"
    local advice=("packages may lack security updates: the mirror stands still, or is held back on the way to here"
        "another mirror is taken from ICOS_DEBIAN_MIRROR")
    [ "${ICOS_REQUIRE_CURRENT_MIRROR:-0}" = 0 ] || fail "$text" "${advice[@]}"
    say "warning: $text; ${advice[0]}; ${advice[1]}"
}

run_mmdebstrap() {
    local packages suite variant
    # shellcheck source=gitlab-ci/container/image.sh
    . "$definition"
    [ "$(id -u)" = 0 ] || [ -x /usr/bin/newuidmap ] ||
        { echo "E: an unprivileged user needs newuidmap: install the package uidmap" && return 1; } >&2
    # The certificates of this machine come first: what is fetched later may need them. Signatures are checked here; the
    # date of a mirror that stands still is checked afterwards, so that the message can say what to do.
    # shellcheck disable=SC2016 # expanded by mmdebstrap
    mmdebstrap --variant="$variant" --include="$(
        IFS=,
        echo "${packages[*]}"
    )" --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
        --customize-hook='cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/" 2>/dev/null || :' \
        --customize-hook='[ ! -x "$1/usr/sbin/update-ca-certificates" ] || chroot "$1" update-ca-certificates' \
        --customize-hook='sed -sn "/^\(Codename\|Date\|Valid-Until\): /p" "$1"/var/lib/apt/lists/*Release >"$1/'"$suite_record"'"' \
        --customize-hook="$definition" \
        "$suite" - "$(mirror)"
}

show_progress() { tee "$1" | sed -un 's/^I: /  /p' >&2; }

# Devices are the host's; everything belongs to whoever makes the image.
unpack_root() { tar -x -C "$image.new/root" --exclude='./dev/*' --no-same-owner --preserve-permissions; }

# Makes a root ready for any user and machine: programs look up the name and home of the user who calls them, and what
# a machine says about its network is bound over these files.
prepare_root() {
    local file
    [ "$(id -u)" = 0 ] || echo "$(id -un):x:$(id -u):$(id -g)::$HOME:/bin/bash" >>"$1/etc/passwd"
    for file in resolv.conf hosts hostname; do
        rm -f "$1/etc/$file"
        touch "$1/etc/$file"
    done
}

# Makes sure that commands are there: arguments are command:package. Installs the packages where that is possible.
install_tools() {
    local pair missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "not installed: ${missing[*]}" "install it as root, on Debian: apt-get install ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    # A repository that doesn't answer is no matter if the others have the package.
    apt-get update -q >"$cache/install.log" 2>&1 || :
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >>"$cache/install.log" 2>&1; then
        tail -n 15 "$cache/install.log" >&2
        fail "apt-get could not install ${missing[*]}" "the log is $cache/install.log"
    fi
}

prune_images() {
    local folder
    for folder in "$cache"/images/*/; do
        [ "${folder%/}" != "$image" ] || continue
        say "removing ${folder%/}"
        rm -rf "${folder%/}"
    done
}
