"""Variables of UEFI firmware: the keys of Secure Boot, and variable stores of virtual machines."""
