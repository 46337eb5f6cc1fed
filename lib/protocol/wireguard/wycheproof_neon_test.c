/* NEON against the vectors of Wycheproof. */
#include "wireguard/wycheproof_lanes_test.h"

#include "wireguard/aead_neon.c"

LANES_TEST_MAIN(aead_neon)
