"""Checkpoints of Hugging Face (config.json and safetensors) and our models: both ways, without their library."""
