"""Settings into adapters, adapters into services, services into the app; the only room that knows everyone."""
