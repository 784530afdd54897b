"""Personal machines in the cloud: what they are called, what is asked for, what they cost, and how the cloud is spoken to.

Invariant: everything here is pure but `cloud`, which speaks to Google, and `ssh`, which runs gcloud.
"""
