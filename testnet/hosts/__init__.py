"""Deployments on other machines, by SSH, Ansible and libvirt."""
