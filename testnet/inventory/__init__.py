"""Inventories: what a deployment consists of, as `testnet/env/NAME/hosts.ini` says."""
