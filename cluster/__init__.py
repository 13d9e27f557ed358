"""The Ray runtime and the jobs that run on it."""
