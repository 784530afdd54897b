"""What runs inside an IPython kernel: synchronised code at its start and on request, and a few niceties.

Invariant: whatever goes wrong here costs a line of text and never the kernel.
"""
