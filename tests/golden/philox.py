"""thaw's random streams (base/random.c: Philox4x32-10) for the fixture makers, so that inputs need not be stored."""

import numpy as np

TEST = 6  # enum thaw_purpose: THAW_RANDOM_TEST


def philox4x32_10(counter, key):
    """The four words of each block. `counter`: four uint64 arrays holding 32-bit words, `key`: two numbers."""
    low = np.uint64(0xFFFFFFFF)
    c, k = counter, [np.uint64(word) for word in key]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k[0], p1 & low, (p0 >> np.uint64(32)) ^ c[3] ^ k[1], p0 & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return np.stack(c, axis=1)


# A known answer from the generator's authors (Random123, kat_vectors): all counter and key bits set.
assert [hex(w) for w in philox4x32_10([np.full(1, 0xFFFFFFFF, np.uint64)] * 4, [0xFFFFFFFF] * 2)[0]] == [
    "0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def words(seed, a, b, count):
    """The first `count` words of the stream (seed, THAW_RANDOM_TEST, a, b)."""
    blocks = (count + 3) // 4
    counter = [np.arange(blocks, dtype=np.uint64), *(np.full(blocks, v, np.uint64) for v in (TEST, a, b))]
    return philox4x32_10(counter, [seed & 0xFFFFFFFF, seed >> 32]).reshape(-1)[:count].astype(np.uint32)


def uniform(seed, a, b, low, high, shape):
    """float32 numbers in [low, high): computed in double and rounded once, as thaw_random_between() is."""
    u = words(seed, a, b, int(np.prod(shape))).astype(np.float64) * 2.0**-32
    return (low + (high - low) * u).astype(np.float32).reshape(shape)
