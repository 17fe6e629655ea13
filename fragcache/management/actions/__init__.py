"""Actions of the command ``fragments``: a module each, with its options and what it does."""
