#include "wireguard/aead_lanes.h"

size_t aead_lanes_supported(const struct aead_lanes *ret[AEAD_LANES_SETS])
{
	size_t count = 0;

#if defined(__x86_64__)
	/* These ask the operating system, too, whether it keeps the registers. */
	if (__builtin_cpu_supports("avx512f"))
		ret[count++] = &aead_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		ret[count++] = &aead_avx2;
#elif defined(__aarch64__)
	ret[count++] = &aead_neon; /* each of them has it */
#endif
	return count;
}
