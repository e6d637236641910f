"""What a run did, sent to trackers that others read: MLflow, TensorBoard, Weights & Biases. Never a run's trouble."""
