"""Random numbers from keys: functions of a key, without hidden state, inside of traced functions and outside.

    key = lilith.random.key(0)
    noise_key, mask_key = lilith.random.split(key)
    noise = lilith.random.normal(noise_key, (1000,))

A key is a plain array of two uint32 words: it is passed to `grad` and `jit` as any other array (its gradient is None).
The same key gives the same bits on every platform and in every version; floats made of them agree to a few units in the
last place. Different uses need different keys: `split` one, or `fold_in` a number.

Bits are those of Threefry-2x32-20 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011) on the
element's index. `split`, `fold_in` and `bits` use disjoint counters: a key that was split may also be drawn from.
"""

from lilith.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    normal,
    uniform,
)
from lilith.random.discrete import bernoulli, categorical, randint
from lilith.random.keys import bits, fold_in, key, split

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "cauchy",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "laplace",
    "logistic",
    "normal",
    "randint",
    "split",
    "uniform",
]
