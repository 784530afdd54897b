"""What `epic-lab doctor` looks at: is everything here that the lab needs, and if not, what to type.

Invariant: a check changes nothing that outlives it, and whatever happens in one ends as its own finding.
"""
