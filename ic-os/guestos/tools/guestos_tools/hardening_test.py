import pytest

from guestos_tools.hardening import BOUNDS, PROFILE, differences, exposures, instance, profile, too_exposed


def report(**changed):
    return [f"{name}={value}\n" for name, value in {**PROFILE, **changed}.items()]


def test_a_report_with_all_values_has_no_difference():
    assert differences(report(), "prod") == []
    assert differences(["a line without a value", *report()], "prod") == []


def test_each_variant_has_a_profile_of_its_own():
    assert profile("prod")["kernel.sysrq"] == "0"
    assert differences(report(), "dev") == [
        "kernel.sysrq is '0', not '438'",
        "sshd.permitrootlogin is 'no', not 'without-password'",
    ]


@pytest.mark.parametrize(
    ("lines", "difference"),
    [
        (report(lockdown="[none] integrity"), "lockdown is '[none] integrity', not 'none [integrity] confidentiality'"),
        (report()[1:], "dev.tty.ldisc_autoload is 'missing', not '0'"),
        ([*report(), "more=1"], "more is '1', not 'in the profile'"),
    ],
)
def test_a_wrong_a_missing_and_an_unknown_value_are_differences(lines, difference):
    assert differences(lines, "prod") == [difference]


OUTPUT = """\
  NAME                 DESCRIPTION
→ Overall exposure level for setup-var.service: 4.3 OK 🙂
→ Overall exposure level for privileged-scripts@0.service: 10.0 DANGEROUS 😨
"""


def test_scores_are_read_from_the_output():
    assert exposures(OUTPUT) == {"setup-var.service": 4.3, "privileged-scripts@.service": 10.0}
    assert instance("privileged-scripts@.service") == "privileged-scripts@0.service"


def test_services_at_their_bounds_are_not_too_exposed():
    assert too_exposed(BOUNDS) == []


@pytest.mark.parametrize("unit", BOUNDS)
def test_a_score_above_the_bound_is_too_exposed(unit):
    (line,) = too_exposed({**BOUNDS, unit: BOUNDS[unit] + 0.1})
    assert line.startswith(f"{unit}: ")


def test_a_service_without_a_bound_and_one_without_a_score_are_found():
    scores = {**BOUNDS, "new.service": 0.1}
    del scores["ssh.service"]
    assert too_exposed(scores) == [
        "new.service: 0.1, at most a bound is missing",
        "ssh.service: no score, at most 4.0",
    ]


def test_services_that_talk_to_other_machines_have_the_bound_of_the_network():
    assert BOUNDS["ssh.service"] == 4
    assert max(BOUNDS.values()) == 6
