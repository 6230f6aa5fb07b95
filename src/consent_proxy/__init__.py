"""A consent-enforcing proxy between a company's backends and the AI platforms that host models."""
