"""The discography: artists, albums and tracks, published as contexts for targets."""
