"""The HTTP edge: what callers, mobile teams and auditors reach."""
