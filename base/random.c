#include "base/random.h"

#include <math.h>
#include <stdbool.h>

static inline void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
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

enum { RUN = 128 }; /* Philox blocks that are made at a time, long enough for the compiler to use whole vectors */

/* AS 241 for |p - 1/2| <= 0.425, 85 of 100 numbers. */
static float normal_middle(float q)
{
	float r = 0.180625f - q * q;

	return q * (((59.109374720f * r + 159.29113202f) * r + 50.434271938f) * r + 3.3871327179f) /
	       (((67.187563600f * r + 78.757757664f) * r + 17.895169469f) * r + 1.0f);
}

/* And for a probability of 2^-33 to 0.075, where r < 5: the (negative) number that is so improbable. */
static float normal_tail(float p)
{
	float r = sqrtf(-logf(p)) - 1.6f;

	return -(((0.17023821103f * r + 1.3067284816f) * r + 2.7568153900f) * r + 1.4234372777f) /
	       ((0.12021132975f * r + 0.73700164250f) * r + 1.0f);
}

/* The middle formula for all first, without a branch; then the tails, seen as the lower one: 0.075 * 2^32 words at
 * each end. */
static void normals_of(const uint32_t words[4 * RUN], float x[4 * RUN])
{
	const uint32_t tail = 322122547;
	int tails[4 * RUN], count = 0;

	for (int i = 0; i < 4 * RUN; i++)
		x[i] = normal_middle(((float)(int32_t)(words[i] ^ 0x80000000u) + 0.5f) * 0x1p-32f);
	for (int i = 0; i < 4 * RUN; i++) {
		tails[count] = i;
		count += words[i] < tail || ~words[i] < tail;
	}
	for (int i = 0; i < count; i++) {
		uint32_t word = words[tails[i]];
		bool upper = word >> 31;
		float value = normal_tail(((float)(upper ? ~word : word) + 0.5f) * 0x1p-32f);

		x[tails[i]] = upper ? -value : value;
	}
}

void thaw_random_normals(struct thaw_random *random, float *x, int64_t count, double deviation)
{
	uint32_t words[4 * RUN];
	float made[4 * RUN];

	for (int64_t begin = 0; begin < count; begin += 4 * RUN) {
		int64_t length = count - begin < 4 * RUN ? count - begin : 4 * RUN;

		for (int i = 0; i < RUN; i++) {
			uint32_t counter[4] = {random->counter[0] + (uint32_t)i, random->counter[1], random->counter[2],
			                       random->counter[3]};

			philox4x32_10(counter, random->key, words + 4 * i);
		}
		random->counter[0] += RUN;
		normals_of(words, made);
		for (int64_t i = 0; i < length; i++)
			x[begin + i] = (float)deviation * made[i];
	}
	random->used = 4;
}

void thaw_random_permutation(struct thaw_random *random, int32_t *order, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		int32_t j = (int32_t)thaw_random_below(random, (uint32_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}
