#!/bin/sh
# Writes how far the kernel and the system are locked down, for the journal: a line NAME=VALUE for each setting, in the
# order of the list below. Nobody can log in to a machine in production, but its journal can be read. What the values
# must be is in doc/Hardening.adoc; this program judges nothing.

set -u

SETTINGS='
    dev.tty.ldisc_autoload dev.tty.legacy_tiocsti
    fs.protected_fifos fs.protected_hardlinks fs.protected_regular fs.protected_symlinks fs.suid_dumpable
    kernel.dmesg_restrict kernel.kexec_load_disabled kernel.kptr_restrict kernel.panic_on_oops kernel.perf_event_paranoid
    kernel.randomize_va_space kernel.sysrq kernel.unprivileged_bpf_disabled kernel.yama.ptrace_scope
    net.core.bpf_jit_harden
    net.ipv4.icmp_echo_ignore_broadcasts net.ipv4.icmp_ignore_bogus_error_responses net.ipv4.ip_forward
    net.ipv4.tcp_syncookies
    net.ipv6.conf.all.forwarding
    user.max_user_namespaces'
# All values that interfaces have.
INTERFACES='
    ipv4/accept_redirects ipv4/accept_source_route ipv4/secure_redirects ipv4/send_redirects ipv4/rp_filter
    ipv6/accept_redirects ipv6/accept_source_route'
SSHD='allowagentforwarding|allowtcpforwarding|allowstreamlocalforwarding|authenticationmethods|disableforwarding|
    forcecommand|gatewayports|hostbasedauthentication|kbdinteractiveauthentication|maxauthtries|passwordauthentication|permitemptypasswords|
    permitrootlogin|permittunnel|permituserenvironment|permituserrc|x11forwarding'

say() { # NAME VALUE
    echo "$1=$2"
}

value_of() { # FILE
    cat "$1" 2>/dev/null || echo missing
}

for name in $SETTINGS; do
    say "$name" "$(value_of "/proc/sys/$(echo "$name" | tr . /)")"
done
for each in $INTERFACES; do
    say "net.${each%/*}.conf.*.${each#*/}" "$(cat /proc/sys/net/"${each%/*}"/conf/*/"${each#*/}" | sort -nu | xargs)"
done
say lockdown "$(value_of /sys/kernel/security/lockdown)"
say module.sig_enforce "$(value_of /sys/module/module/parameters/sig_enforce)"
# The modules on the deny list that modprobe would load all the same.
modules=$(sed -n 's/^install \([^ ]*\) .*/\1/p' /etc/modprobe.d/guestos.conf)
# shellcheck disable=SC2086  # a list of names
say modules.loadable "$(modprobe --all --quiet --dry-run --verbose $modules 2>/dev/null | grep -o '^insmod [^ ]*' | xargs)"
say tainted "$(value_of /proc/sys/kernel/tainted)"
sshd -G 2>/dev/null | grep -E "^($(echo "$SSHD" | tr -d ' \n')) " | sort | sed 's/ /=/; s/^/sshd./'
