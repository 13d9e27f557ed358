"""What one machine really has, tried out on that machine."""
