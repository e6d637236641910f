"""Training: the loop, schedule, optimiser, evaluation and checkpoints. Nothing here knows that it is measured."""
