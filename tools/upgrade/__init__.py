"""Upgrade images: manifest and signature."""
