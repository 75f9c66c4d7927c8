"""Scores of label images against ground truth."""
