"""A SmolVLM of a few thousand random weights, described by a local folder: SmolVLA runs on it offline in seconds."""

from pathlib import Path

WORDS = "grasp the wooden cuboid and lift it go to red dot"


def write_tiny_smolvlm(folder: Path) -> Path:
    """Write the backbone's configuration, tokenizer and image processor into `folder`, and return it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    special = [
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
        "<image>",
        "<fake_token_around_image>",
        "<global-img>",
        "<end_of_utterance>",
    ]
    vocabulary = {word: number for number, word in enumerate(special + sorted(set(WORDS.split())))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=1,
    ).save_pretrained(folder)
    SmolVLMConfig(
        image_token_id=vocabulary["<image>"],
        scale_factor=2,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "vocab_size": 64,
            "pad_token_id": 0,
        },
        pad_token_id=0,
    ).save_pretrained(folder)
    return folder


def tiny_smolvla(backbone: Path) -> dict:
    """`finetune.policy` for a SmolVLA on the tiny backbone in `backbone`."""
    return {
        "type": "smolvla",
        "vlm_model_name": str(backbone),
        "load_vlm_weights": False,
        "chunk_size": 16,
        "n_action_steps": 16,
        "num_vlm_layers": 2,
        "resize_imgs_with_padding": [32, 32],
        "num_steps": 2,
        "tokenizer_max_length": 16,
    }
