"""The test kit: contracts that backends inherit, servers that stand in for the cloud's, trees, faults and latency.

Invariant: it is never imported by the engine.
"""
