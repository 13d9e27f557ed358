"""What `facefarm bench` measures with: its clip, its networks, its limits and its tables."""
