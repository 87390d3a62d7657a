"""Applications that show the cache at work."""
