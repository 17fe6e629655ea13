"""Tests that measure time, or wait for what happens in time: one after the other, by themselves."""
