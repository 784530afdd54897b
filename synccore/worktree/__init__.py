"""The user's disk: what is scanned from it, and what is written to it. Only these modules touch any."""
