"""A site whose fragments workers warm, in processes of its own: many passages of real texts."""
