"""What tasks that look at pictures share; a task itself is a file beside this folder."""
