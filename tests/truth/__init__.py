"""A site in miniature, of which every state that was ever true is known."""
