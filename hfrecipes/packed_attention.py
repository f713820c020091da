"""Packed attention: rows of tokens that lie one behind the other, without padding, each of which reads itself alone.

Rows of one length are multiplied together. The operator has a backward of its own: what autograd would keep and call for every
group of rows takes longer than the products.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MULTIPLE = 32
"""Tokens are filled up to a multiple of this, for which products are quicker."""
SHORT = 64
"""The mean number of tokens that a token reads up to which fp32 is quicker than bf16."""
_here = local()


@dataclass(frozen=True)
class Group:
    """Rows of one length, times heads: how many, their length, and where they begin and end in what has a line a token and in
    what has a number for each pair of tokens."""

    count: int
    length: int
    tokens: slice
    pairs: slice

    def of(self, flat: Tensor) -> Tensor:
        """Its part of (tokens, units) as (rows, tokens, units)."""
        return flat[self.tokens].view(self.count, self.length, -1)

    def between(self, flat: Tensor) -> Tensor:
        """Its part of what is between pairs of tokens as (rows, tokens, tokens)."""
        return flat[self.pairs].view(self.count, self.length, self.length)


@dataclass(frozen=True)
class Layout:
    """Tokens and heads in the order in which they are multiplied, and back. Tokens that only fill up are behind `tokens`."""

    there: Tensor
    back: Tensor
    groups: list[Group]
    tokens: int
    pairs: int


class Plan:
    """Where the tokens of a batch go: from `mask` (rows, tokens) to one row, shorter rows first."""

    def __init__(self, mask: np.ndarray) -> None:
        lengths = mask.sum(1)
        order = np.argsort(lengths, kind="stable")
        self.shape, self.lengths = mask.shape, lengths[order]
        places = np.concatenate([row * mask.shape[1] + np.flatnonzero(mask[row]) for row in order])
        self.count, filling = len(places), -len(places) % MULTIPLE
        self.take = torch.from_numpy(np.concatenate([places, np.zeros(filling, dtype=places.dtype)]))
        self.first = torch.from_numpy(np.cumsum([0, *self.lengths[:-1]]))
        self.back = torch.from_numpy(np.argsort(order))
        self._layouts: dict[int, Layout] = {}

    def packed(self, states: Tensor) -> Tensor:
        """(rows, tokens, units) as (1, all tokens, units)."""
        return states.reshape(-1, states.shape[-1]).index_select(0, self.take)[None]

    def unpacked(self, states: Tensor) -> Tensor:
        """What `packed` gave, or the first token of each row of it alone, as (rows, tokens, units); zeros for padding."""
        if states.shape[1] != len(self.take):
            return states[0].index_select(0, self.back)[:, None]
        whole = states.new_zeros(self.shape[0] * self.shape[1], states.shape[-1])
        return whole.index_copy(0, self.take[: self.count], states[0, : self.count]).view(*self.shape, -1)

    def layout(self, heads: int) -> Layout:
        """The order of attention with so many heads."""
        if heads not in self._layouts:
            self._layouts[heads] = self._laid_out(heads)
        return self._layouts[heads]

    def _laid_out(self, heads: int) -> Layout:
        """Within rows of one length: row by row, head by head, token by token."""
        found, groups, begin, pairs = [], [], 0, 0
        for length, rows in zip(*np.unique(self.lengths, return_counts=True), strict=True):
            size, count = int(rows * length), int(rows) * heads
            tokens = np.arange(begin, begin + size).reshape(rows, 1, length)
            found.append((tokens * heads + np.arange(heads)[:, None]).ravel())
            end = pairs + count * int(length) ** 2
            groups.append(Group(count, int(length), slice(begin * heads, (begin + size) * heads), slice(pairs, end)))
            begin, pairs = begin + size, end
        there = np.concatenate(found)
        filling = np.zeros((len(self.take) - self.count) * heads, dtype=there.dtype)
        back = np.concatenate([np.argsort(there), filling])
        return Layout(torch.from_numpy(there), torch.from_numpy(back), groups, len(there), pairs)


def current() -> Plan | None:
    """The plan that holds in this thread for the call of a model."""
    return getattr(_here, "plan", None)


def hold(plan: Plan | None) -> None:
    """Let a plan hold in this thread, or none."""
    _here.plan = plan


def attend(
    module: Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, over the rows of the plan that holds: of (1, heads, tokens, units) each, gives (1,
    tokens, heads, units)."""
    plan = current()
    assert plan is not None, "packed attention runs inside a packed call"
    heads, units = query.shape[1], query.shape[3]
    causal = bool(more.get("is_causal") if more.get("is_causal") is not None else getattr(module, "is_causal", False))
    flat = (part.transpose(1, 2).reshape(-1, units) for part in (query, key, value))
    scale = units**-0.5 if scaling is None else scaling
    found = _Attention.apply(*flat, plan.layout(heads), scale, dropout, causal)  # type: ignore[no-untyped-call]
    return found.view(1, -1, heads, units), None


class _Attention(torch.autograd.Function):
    """softmax(q kᵀ · scale) v for each row and head, with dropout between, of lines (token, head) x units."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float, dropout: float, causal: bool
    ) -> Tensor:
        half = query.dtype.itemsize == 2 and layout.pairs > SHORT * layout.tokens
        kind = query.dtype if half else torch.promote_types(query.dtype, torch.float32)
        q, k, v = (part.index_select(0, layout.there).to(kind) for part in (query, key, value))
        shares, out = q.new_empty(layout.pairs), torch.empty_like(q)
        with torch.autocast(query.device.type, enabled=False):
            for group in layout.groups:
                torch.bmm(group.of(q), group.of(k).transpose(1, 2), out=group.between(shares))
            shares.mul_(scale)
            for group in layout.groups:
                between = group.between(shares)
                if causal:
                    later = torch.ones(group.length, group.length, dtype=torch.bool, device=q.device).triu_(1)
                    between.masked_fill_(later, -torch.inf)
                torch.softmax(between, -1, out=between)
            mask = torch.empty_like(shares).bernoulli_(1 - dropout).div_(1 - dropout) if dropout else None
            kept = shares if mask is None else shares * mask
            for group in layout.groups:
                torch.bmm(group.between(kept), group.of(v), out=group.of(out))
        ctx.save_for_backward(q, k, v, shares, mask)
        ctx.layout, ctx.scale = layout, scale
        return out.index_select(0, layout.back).to(query.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        q, k, v, shares, mask = ctx.saved_tensors
        layout: Layout = ctx.layout
        given = gradients[0].index_select(0, layout.there).to(q.dtype)
        kept = shares if mask is None else shares * mask
        to_shares, to_q, to_k, to_v = (torch.empty_like(tensor) for tensor in (shares, q, k, v))
        for group in layout.groups:
            torch.bmm(group.between(kept).transpose(1, 2), group.of(given), out=group.of(to_v))
            torch.bmm(group.of(given), group.of(v).transpose(1, 2), out=group.between(to_shares))
        if mask is not None:
            to_shares.mul_(mask)
        for group in layout.groups:
            inner, share = group.between(to_shares), group.between(shares)
            inner.copy_(torch._softmax_backward_data(inner, share, -1, share.dtype))
        to_shares.mul_(ctx.scale)
        for group in layout.groups:
            inner = group.between(to_shares)
            torch.bmm(inner, group.of(k), out=group.of(to_q))
            torch.bmm(inner.transpose(1, 2), group.of(q), out=group.of(to_k))
        found = [tensor.index_select(0, layout.back).to(gradients[0].dtype) for tensor in (to_q, to_k, to_v)]
        for tensor in found:
            tensor[layout.tokens :] = 0
        return (*found, None, None, None, None)
