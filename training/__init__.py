"""Synthetic athletes, training recipes, export and evaluation."""
