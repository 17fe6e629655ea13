"""What operators see of the cache."""
