"""What comes with the service: a disclosure that states the policy, and sample contracts."""
