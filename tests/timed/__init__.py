"""Tests that measure time closely, or need the whole machine: one after the other, alone."""
