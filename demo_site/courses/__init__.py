"""Courses, their modules and contents: the source's data, and the fragments that show it."""
