"""A site whose processes count by themselves what they ask for, beside the counters."""
