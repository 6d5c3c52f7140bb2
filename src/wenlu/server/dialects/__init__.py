"""One file for each form in which clients ask: their JSON to a request of ours, our events to their answers."""
