"""A run of a published model: nothing is trained, the tasks are asked."""
