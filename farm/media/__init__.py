"""Reading and writing video: probe, index, plan, decode, frame regions, encode, chunk files, join."""
