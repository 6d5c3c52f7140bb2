"""Load and faults for a server on this machine: a client of its own, what is measured, and the page."""
