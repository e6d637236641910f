"""What would overturn a study: its headline ratios under stated alternatives, and whether a verdict would change."""
