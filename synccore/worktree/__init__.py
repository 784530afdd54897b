"""The user's own disk: which files take part, what they hold, and how they are written.

Invariant: nothing outside this package touches a working tree.
"""
