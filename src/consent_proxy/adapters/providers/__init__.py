"""One module a provider: how each platform is spoken to, with its manifests beside it."""
