"""From every reachable boot state a machine returns to a good system without help."""

from boot_model import BAD, GOOD, SHIPPED, State, is_brick, reachable
from guestos.boot_state import FAILSAFE_CHECK, FALLBACK, FIRST_BOOT, STABLE, BootState, Decision, decide, other


def test_no_brick():
    states, tried = reachable()
    assert len(states) > 70
    assert [state for state in states if is_brick(state)] == []
    print(f"{len(states)} states, {tried} steps, 0 bricks")


def test_the_enumeration_reaches_every_kind_of_state():
    states, _ = reachable()
    seen = {(state.alternative, state.cycle, state.confirmed) for state in states}
    for slot in "AB":
        assert {(slot, STABLE, slot), (slot, FIRST_BOOT, other(slot)), (slot, FAILSAFE_CHECK, other(slot))} <= seen
        assert (slot, STABLE, other(slot)) in seen, "a mixture of two states is reachable"
    assert any(state.running and state.holds(state.running) == BAD for state in states)
    assert any(state.contents == (BAD, GOOD) for state in states)
    assert SHIPPED in states


def bricks(machine=decide, confirm=BootState.confirm):
    return [state for state in reachable(machine=machine, confirm=confirm)[0] if is_brick(state, machine)]


def test_a_fallback_to_the_same_slot_is_found():
    def machine(state):
        decision = decide(state)
        if decision.reason != FALLBACK:
            return decision
        return Decision(other(decision.slot), STABLE, BootState(other(decision.slot), STABLE, state.confirmed))

    assert bricks(machine)


def test_a_confirmation_before_the_reboot_is_found():
    """The running system confirms the other slot, which was never booted and so becomes stable without a trial."""

    def confirm(state, _slot):
        return BootState(state.alternative, STABLE, state.alternative)

    assert bricks(confirm=confirm)


def test_a_fixed_slot_for_damaged_states_is_found():
    def machine(state):
        decision = decide(state)
        return Decision("A", decision.reason, decision.after) if decision.reason == "damaged" else decision

    assert bricks(machine)


def test_a_stable_state_without_a_check_of_the_confirmed_slot_is_found():
    """A write that is interrupted after the name of the slot leaves such a state."""

    def machine(state):
        if state.cycle == STABLE and state.alternative:
            return Decision(state.alternative, STABLE, state)
        return decide(state)

    assert State("B", STABLE, "A", (GOOD, BAD), None) in bricks(machine)


def test_a_trial_that_never_ends_is_found():
    def machine(state):
        if state.cycle == FIRST_BOOT:
            return Decision(state.alternative, FIRST_BOOT, state)
        return decide(state)

    assert bricks(machine)
