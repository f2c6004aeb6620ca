"""Root trees put together from what a specification says: layers, accounts, and what is left out."""
