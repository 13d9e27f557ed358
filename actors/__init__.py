"""Ray actors and the pool that drives them."""
