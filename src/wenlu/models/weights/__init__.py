"""Checkpoints: name rules, safetensors files, Hugging Face folders."""

from wenlu.models.weights.layout import load_image_encoder, load_model, read_config, save_config, save_model

__all__ = ["load_image_encoder", "load_model", "read_config", "save_config", "save_model"]
