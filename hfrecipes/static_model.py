"""Static models: a vector a token, their mean, and a head. As fast as reading a table, and blind to the order of words.

They are models of transformers like any other: registered with its Auto classes, saved as safetensors, trained by its Trainer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, cross_entropy, relu
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel
from transformers import initialization as init
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput, SequenceClassifierOutput

from hfrecipes.static_config import StaticConfig


class StaticPreTrainedModel(PreTrainedModel):
    """What static models share."""

    config_class = StaticConfig
    base_model_prefix = "body"

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, StaticModel) and module.weights is not None:
            init.ones_(module.weights)


class StaticModel(StaticPreTrainedModel):
    """Token ids to their vectors (`last_hidden_state`), and the mean of these (`pooler_output`). Padding counts for nothing."""

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.vectors = nn.Embedding(config.vocab_size, config.hidden_size)
        self.weights = nn.Parameter(torch.ones(config.vocab_size)) if config.pooling == "weighted" else None
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        """The vectors."""
        return self.vectors

    def set_input_embeddings(self, value: Any) -> None:
        """Take other vectors. Of tokens that are new the weight is 1."""
        self.vectors = value
        if self.weights is not None and len(self.weights) != value.num_embeddings:
            weights = torch.ones(value.num_embeddings)
            kept = min(len(weights), len(self.weights))
            weights[:kept] = self.weights.detach()[:kept]
            self.weights = nn.Parameter(weights)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **named: Any,
    ) -> BaseModelOutputWithPooling:
        """Ids of shape (rows, tokens)."""
        states = self.vectors(input_ids)
        if self.weights is not None:
            states = states * self.weights[input_ids].unsqueeze(-1)
        mask = torch.ones_like(states[..., 0]) if attention_mask is None else attention_mask.to(states.dtype)
        shares = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = torch.matmul(shares.unsqueeze(1), states).squeeze(1)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=pooled)


class StaticForSequenceClassification(StaticPreTrainedModel):
    """A static model with a head: the mean brought to one spread, then linear layers."""

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        labels: Any = config.num_labels
        self.num_labels = labels
        self.body = StaticModel(config)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size) if config.intermediate_size else None
        self.classifier = nn.Linear(config.intermediate_size or config.hidden_size, self.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **named: Any,
    ) -> SequenceClassifierOutput:
        """The logits of the labels, and the loss where labels are given."""
        found = self.body(input_ids, attention_mask)
        hidden = self.dropout(self.norm(found.pooler_output))
        if self.inner is not None:
            hidden = relu(self.inner(hidden))
        logits = self.classifier(hidden)
        loss = None if labels is None else ForSequenceClassificationLoss(labels, logits, self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class StaticForMaskedLM(StaticPreTrainedModel):
    """A static model that tells a word from those around it, by the products of their mean with every vector (CBOW, Mikolov
    et al. 2013, arXiv:1301.3781, over the whole vocabulary)."""

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.body = StaticModel(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **named: Any,
    ) -> MaskedLMOutput:
        """The logits of every token at every place, and the loss where labels are given (-100: it does not count)."""
        states = self.body(input_ids, attention_mask).last_hidden_state
        mask = torch.ones_like(states[..., :1]) if attention_mask is None else attention_mask.unsqueeze(-1).to(states.dtype)
        around, count = (self._around(each) for each in (states * mask, mask))
        logits = (around / count.clamp(min=1)) @ self.body.vectors.weight.T
        loss = None if labels is None else cross_entropy(logits.flatten(0, 1), labels.flatten())
        return MaskedLMOutput(loss=loss, logits=logits)

    def _around(self, each: Tensor) -> Tensor:
        """For states of shape (rows, tokens, units) the sum of the neighbours of each token, itself left out."""
        reach = self.config.window
        means = avg_pool1d(each.transpose(1, 2), 2 * reach + 1, stride=1, padding=reach)
        found: Tensor = means.transpose(1, 2) * (2 * reach + 1) - each
        return found


AutoModel.register(StaticConfig, StaticModel, exist_ok=True)
AutoModelForMaskedLM.register(StaticConfig, StaticForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification, exist_ok=True)
