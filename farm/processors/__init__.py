"""Frame processors, one file each, found by entry point."""
