"""The service that works through the queue: its jobs, hooks and web page."""
