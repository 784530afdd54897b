"""Compute Engine as the tests play it: what there is in the cloud, how machines come and go, and how it all can fail."""
