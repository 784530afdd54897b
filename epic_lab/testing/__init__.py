"""Actors for tests of the whole: what stands for a lab's machines."""
