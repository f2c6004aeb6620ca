"""Files from HTTP servers: resumed, tried again, and taken only with the right hash."""
