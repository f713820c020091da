"""A tokenizer and a small GPT from nothing: trained on the texts of a file, then asked to go on writing.

python examples/11_pretrain.py [OUT [DATA]]

`config` gives an architecture its sizes; `new: bert` with `fill-mask` and `new: t5` with `span-corruption` work alike.
"""

from __future__ import annotations

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

from hfrecipes import Data, GptRecipe, Predictor, Report, fit


def main(out: str = "runs/pretrained", data: str = "examples/data/banking77", epochs: int = 3) -> None:
    """Byte pairs of 1,000 tokens, four layers, three times over the texts."""
    recipe = GptRecipe(
        task={"text-generation": {"max_length": 64, "generation": {"max_new_tokens": 12}}},
        data=Data(data),
        model={"new": "gpt2", "config": {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 64}},
        tokenizer={"bpe": {"vocab_size": 1000}},
        train={"num_train_epochs": epochs, "learning_rate": 1e-3, "per_device_train_batch_size": 32, "warmup_steps": 0.1},
        evaluate=["perplexity"],
    )
    run = fit(recipe, out)
    print(Report.load(run.path).scores)
    print(Predictor.open(run.path, "pytorch")("my card"))

    model, tokenizer = AutoModelForCausalLM.from_pretrained(run.model), AutoTokenizer.from_pretrained(run.model)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens: {tokenizer.tokenize('my card has not come')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
