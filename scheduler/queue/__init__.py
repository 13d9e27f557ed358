"""The durable queue of renders: records, the store, and how jobs get into it."""
