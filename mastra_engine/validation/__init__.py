"""Checks of arguments, made once, before a backend sees them."""
