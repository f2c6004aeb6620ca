"""The checks of form that every file of the checkout passes."""
