"""What is measured and judged: extraction, probing, scores, and the checks."""
