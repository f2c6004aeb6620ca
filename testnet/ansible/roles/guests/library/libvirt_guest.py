"""A module of Ansible: a guest of libvirt is defined as its XML says, runs, or is not there.

arguments   name    of the guest
            state   defined, running or absent
            uri     of the libvirt that has the guest
            xml     for `defined`: its description (https://libvirt.org/formatdomain.html), with name and UUID

Nothing is done that need not be done. A guest is defined again if the XML is another one than it was defined from: the
guest's metadata has its SHA-256. What is defined while a guest runs is used from its next start on.
"""

from __future__ import annotations

import hashlib
import re

from ansible.module_utils.basic import AnsibleModule

_METADATA = "urn:rules_icos:testnet"
_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "required": True, "choices": ["defined", "running", "absent"]},
    "uri": {"type": "str", "required": True},
    "xml": {"type": "str"},
}


class Guest:
    """A guest, by virsh."""

    def __init__(self, module: AnsibleModule) -> None:
        """Uses the arguments of the module."""
        self._module = module
        self._name: str = module.params["name"]

    def _virsh(self, *words: str, data: str | None = None, check: bool = True) -> str | None:
        """Returns what a command of virsh prints; None if it fails and need not succeed."""
        command = ["virsh", "--connect", self._module.params["uri"], *words]
        status, output, message = self._module.run_command(command, data=data, environ_update={"LC_ALL": "C"})
        if status != 0 and check:
            self._module.fail_json(msg=f"{self._name}: virsh {words[0]}: {message.strip() or output.strip()}")
        return str(output) if status == 0 else None

    def is_known(self) -> bool:
        """Returns whether the guest is defined, or runs without being defined."""
        return self._name in (self._virsh("list", "--all", "--name") or "").splitlines()

    def state(self) -> str:
        """Returns the state, such as `running` or `shut off`."""
        return (self._virsh("domstate", self._name) or "").strip()

    def define(self) -> bool:
        """Defines the guest; returns whether that was or would be a change."""
        xml = self._module.params["xml"]
        digest = hashlib.sha256(xml.encode()).hexdigest()
        if self.is_known() and self._digest() == digest:
            return False
        if not self._module.check_mode:
            self._virsh("define", "/dev/stdin", data=xml)
            self._virsh("metadata", self._name, _METADATA, "--config", "--key", "icos", "--set", f"<xml>{digest}</xml>")
        return True

    def _digest(self) -> str | None:
        text = self._virsh("metadata", self._name, _METADATA, "--config", check=False)
        match = re.search("[0-9a-f]{64}", text or "")
        return match and match[0]

    def run(self) -> bool:
        """Starts the guest, and has libvirt start it with the host; returns whether that was or would be a change."""
        state = self.state() if self.is_known() else "shut off"
        if state == "running":
            return False
        if not self._module.check_mode:
            self._virsh("resume" if state == "paused" else "start", self._name)
            self._virsh("autostart", self._name)
        return True

    def remove(self) -> bool:
        """Ends the guest and removes its definition; returns whether that was or would be a change."""
        if not self.is_known():
            return False
        if not self._module.check_mode:
            if self.state() != "shut off":
                self._virsh("destroy", self._name)
            self._virsh("undefine", self._name, "--nvram")
        return True


def main() -> None:
    """Does what the arguments ask for."""
    required = [("state", "defined", ["xml"])]
    module = AnsibleModule(argument_spec=_ARGUMENTS, required_if=required, supports_check_mode=True)
    guest = Guest(module)
    actions = {"defined": guest.define, "running": guest.run, "absent": guest.remove}
    module.exit_json(changed=actions[module.params["state"]]())


if __name__ == "__main__":
    main()
