"""The few lines that point the official provider SDKs at this service."""
