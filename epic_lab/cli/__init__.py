"""The command line: what people type, and what they read.

Invariant: only these modules import click and rich, and only `boundary` knows exit codes.
"""
