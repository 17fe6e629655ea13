"""Histograms of fixed buckets: four for each power of two, as in HdrHistogram (Tene, 2012).

    value    0 1 2 3 4 5 6 7 8-9 10-11 12-13 14-15 16-19 ...
    bucket   0 1 2 3 4 5 6 7 8   9     10    11    12    ...

They are the same everywhere, so that counts of many processes are added bucket by bucket. What is
read from one is off by at most an eighth.
"""

from __future__ import annotations

from collections.abc import Mapping


def bucket_of(value: int) -> int:
    """Return the bucket of a value, which is a whole number and not negative."""
    shift = max(0, value.bit_length() - 3)
    return 4 * shift + (value >> shift)


def middle_of(bucket: int) -> float:
    """Return the middle of the values that a bucket holds."""
    shift = max(0, bucket // 4 - 1)
    lowest = bucket - 4 * shift << shift
    return lowest + ((1 << shift) - 1) / 2


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return what ``share`` of the values, such as 0.95, do not exceed; None without any.

    ``counts`` says how many values are in which bucket.
    """
    left = share * sum(counts.values())
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0 < counts[bucket]:
            return middle_of(bucket)
    return middle_of(max(counts)) if counts else None
