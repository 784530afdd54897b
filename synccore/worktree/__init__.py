"""The user's disk. Only these modules read or write a working tree."""
