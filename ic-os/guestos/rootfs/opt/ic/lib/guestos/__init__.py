"""What the GuestOS does by itself: the standard library of Python 3 and programs of the system are all it needs."""
