"""Agents of a shop: the same conversation in each framework, with its model replaced by a script."""
