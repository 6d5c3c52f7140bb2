"""A folder as Hugging Face publishes models that converse about pictures, with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from wenlu.tokenizers import TokenizerConfig, train_tokenizer

MARKS = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<|im_start|>")
TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""As those of SmolVLM: they read parts alone, and pass over a content that is plain text."""
SPOKEN = "User: What is in the picture?\n\nAssistant: A red square.\n\nWhat is it? It is a red square on blue.\n\n" * 8


def seeing_folder(folder: Path, *, cuts: bool = True) -> transformers.ProcessorMixin:
    """Write the model; returns the processor of its pictures and words.

    Args:
        cuts: large pictures are seen in tiles of 16 pixels.
    """
    config = TokenizerConfig(vocab_size=326, extra_special_tokens=(*MARKS, *TILES))
    ours = train_tokenizer(config, [SPOKEN])
    ours.save(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processing = Idefics3ImageProcessorPil(
        size={"longest_edge": 48}, max_image_size={"longest_edge": 16}, do_image_splitting=cuts
    )
    processor = transformers.Idefics3Processor(processing, tokenizer, image_seq_len=4, chat_template=TEMPLATE)
    processor.save_pretrained(folder)
    torch.manual_seed(5)
    text = {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 24, "intermediate_size": 28,
        "num_hidden_layers": 2, "num_attention_heads": 3, "max_position_embeddings": 512, "initializer_range": 0.2,
        "bos_token_id": None, "eos_token_id": ours.special_tokens["<end_of_utterance>"], "pad_token_id": ours.pad_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2, "num_attention_heads": 5, "image_size": 16,
        "patch_size": 4, "initializer_range": 0.5,
    }  # fmt: skip
    whole = transformers.AutoConfig.for_model(
        "idefics3", image_token_id=ours.special_tokens["<image>"], text_config=text, vision_config=vision
    )
    model = transformers.AutoModelForImageTextToText.from_config(whole)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.6 if "connector" in name else 0.2)  # so that pictures matter
    model.save_pretrained(folder)
    return processor
