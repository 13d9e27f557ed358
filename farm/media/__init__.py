"""Reading and writing video: probe, index, plan, decode, regions, encode, chunk files, join."""
