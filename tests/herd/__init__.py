"""Many visitors of one cold fragment, in processes and threads, and one of them may be killed."""
