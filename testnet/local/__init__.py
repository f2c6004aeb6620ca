"""Deployments on this machine: machines in QEMU on one link, without root."""
