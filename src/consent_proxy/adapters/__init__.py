"""Everything that touches the outside world: the database, outbound HTTP, providers, clock and ids."""
