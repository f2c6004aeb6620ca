"""Pictures for the documentation, drawn from what they show."""
