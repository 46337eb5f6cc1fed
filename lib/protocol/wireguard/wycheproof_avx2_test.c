/* AVX2 against the vectors of Wycheproof. */
#include "wireguard/wycheproof_lanes_test.h"

#include "wireguard/aead_avx2.c"

LANES_TEST_MAIN(aead_avx2)
