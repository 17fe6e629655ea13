"""What operators see of the cache.

For whoever shows it: ``history.counted`` and ``history.steps`` are what all processes have
counted, ``ledger.accounts`` what that means, ``counters.sheets`` what this process has counted
since it began, ``keeping.keeper.flush`` writes what is not written yet.
"""
