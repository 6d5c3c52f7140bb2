"""What the server remembers: keys, and what was done with them."""
