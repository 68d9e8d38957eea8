#include "base/random.h"

#include <math.h>

static void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;

		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void thaw_random_init(struct thaw_random *random, uint64_t seed, enum thaw_purpose purpose, uint32_t a, uint32_t b)
{
	*random = (struct thaw_random){
		.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
		.counter = {0, (uint32_t)purpose, a, b},
		.used = 4,
	};
}

uint32_t thaw_random_u32(struct thaw_random *random)
{
	if (random->used == 4) {
		philox4x32_10(random->counter, random->key, random->block);
		random->counter[0]++;
		random->used = 0;
	}
	return random->block[random->used++];
}

double thaw_random_uniform(struct thaw_random *random)
{
	return thaw_random_u32(random) * 0x1p-32;
}

double thaw_random_between(struct thaw_random *random, double low, double high)
{
	return low + (high - low) * thaw_random_uniform(random);
}

uint32_t thaw_random_below(struct thaw_random *random, uint32_t limit)
{
	uint32_t threshold = -limit % limit; /* 2^32 mod limit: products whose low word falls below it are uneven */
	uint64_t product;

	do
		product = (uint64_t)thaw_random_u32(random) * limit;
	while ((uint32_t)product < threshold);
	return (uint32_t)(product >> 32);
}

double thaw_random_normal(struct thaw_random *random)
{
	double p = (thaw_random_u32(random) + 0.5) * 0x1p-32, q = p - 0.5, r, value;

	if (fabs(q) <= 0.425) {
		r = 0.180625 - q * q;
		return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
		       (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
	}
	r = sqrt(-log(q < 0 ? p : 1.0 - p));
	if (r <= 5.0) {
		r -= 1.6;
		value = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
		        ((0.12021132975 * r + 0.73700164250) * r + 1.0);
	} else {
		r -= 5.0;
		value = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) /
		        ((0.012258202635 * r + 0.24197894225) * r + 1.0);
	}
	return q < 0 ? -value : value;
}

void thaw_random_permutation(struct thaw_random *random, int32_t *order, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		int32_t j = (int32_t)thaw_random_below(random, (uint32_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}
