"""Answers from a checkpoint or a bundle: batching, engines, and the Predictor over them."""
