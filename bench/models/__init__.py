"""Our models against what a user would pick instead: transformers' blocks and models, in the same run."""
