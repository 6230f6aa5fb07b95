"""What the service needs from the outside world, as Protocols; the adapters and the tests' fakes fulfil them."""
