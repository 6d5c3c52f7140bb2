"""What a model of several tasks is made of; the task itself is `multi_task.py`."""
