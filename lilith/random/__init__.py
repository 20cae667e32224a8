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

from lilith.random.choosing import choice, permutation
from lilith.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    normal,
    truncated_normal,
    uniform,
)
from lilith.random.discrete import bernoulli, categorical, randint
from lilith.random.keys import bits, fold_in, key, split
from lilith.random.shaped import beta, chisquare, dirichlet, gamma, loggamma, student_t

__all__ = [
    "bernoulli",
    "beta",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "laplace",
    "loggamma",
    "logistic",
    "normal",
    "permutation",
    "randint",
    "split",
    "student_t",
    "truncated_normal",
    "uniform",
]
