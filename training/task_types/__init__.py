"""Training and judging of the task detector."""
