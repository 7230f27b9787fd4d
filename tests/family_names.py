"""The families that tests run through, named here since the builders import torch."""

FAMILIES = [
    "llava",
    "llava_clip",
    "gemma3",
    "paligemma",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_5",
    "video_llama_3",
    "llava_next",
    "llava_onevision",
    "internvl",
    "idefics3",
    "smolvlm",
]
