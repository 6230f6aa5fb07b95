"""Local providers that speak the real protocols and make real pictures; never imported by the service."""
