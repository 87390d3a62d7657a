"""Tiers: slower stores behind the first, one room for each outside system."""
