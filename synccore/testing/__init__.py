"""The test kit: what a suite needs to try the engine, and its parts, for real."""
