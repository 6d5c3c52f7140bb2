"""What the task of writing code is made of."""
