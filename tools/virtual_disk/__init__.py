"""Files of virtual disks: qcow2, VHDX and VMDK, described as images over a disk."""
