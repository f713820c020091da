"""Hooks into the ecosystem. Each works without a recipe of ours.

None is a backend of `transformers.exporters`: that is given a model and its inputs, and a bundle also holds a tokenizer, a task
and what was measured. Its graphs are files of the backend `onnx`, which `targets/` calls.
"""
