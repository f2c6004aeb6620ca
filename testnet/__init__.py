"""Test networks: deployments of several machines of the GuestOS."""
