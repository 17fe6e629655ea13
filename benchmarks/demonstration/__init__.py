"""Pages built per visit, by two sites: a request for a key, and querysets pickled in the cache."""
