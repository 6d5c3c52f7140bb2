"""What a recipe will take of this machine, told before it is run, and checked after: `wenlu plan`."""
