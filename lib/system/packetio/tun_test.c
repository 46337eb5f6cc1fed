/*
 * What a kernel refuses of a TUN's features is given up, one at a time
 *
 * The device is opened as it is; the calls that would make an interface of it are answered here.
 */
#include "packetio/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "base/test.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define USO (TUN_F_USO4 | TUN_F_USO6)
#define ALL_OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | USO)

static struct {
	int attach_error; /* of any interface; 0: none */
	bool has_header; /* interfaces may have a virtio_net_hdr */
	unsigned long offloads; /* that it knows; any other is EINVAL */
	int offload_error; /* of any offloads, even of none; 0: none */
	unsigned tries;
} kernel;

static int attach(const struct ifreq *request)
{
	if (kernel.attach_error != 0)
		errno = kernel.attach_error;
	else if (request->ifr_flags & IFF_VNET_HDR && !kernel.has_header)
		errno = EINVAL;
	else
		return 0;
	return -1;
}

static int set_offloads(unsigned long flags)
{
	kernel.tries++;
	if (kernel.offload_error != 0)
		errno = kernel.offload_error;
	else if (flags & ~kernel.offloads)
		errno = EINVAL;
	else
		return 0;
	return -1;
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	int r = -1;

	(void)fd;
	va_start(arguments, request);
	if (request == TUNSETIFF)
		r = attach(va_arg(arguments, const struct ifreq *));
	else if (request == TUNSETOFFLOAD)
		r = set_offloads(va_arg(arguments, unsigned long));
	else if (request == TUNSETVNETHDRSZ && kernel.has_header)
		r = *va_arg(arguments, const int *) == sizeof(struct virtio_net_hdr) ? 0 : -1;
	else
		errno = ENOTTY;
	va_end(arguments);
	return r;
}

static void features_are_given_up_one_at_a_time(void **state)
{
	static const struct {
		const char *name;
		unsigned long offloads;
		unsigned wanted, expected;
	} cases[] = {
		{ "a new kernel", ALL_OFFLOADS, TUN_HAS_ALL, TUN_HAS_ALL },
		{ "before Linux 6.2", ALL_OFFLOADS & ~USO, TUN_HAS_ALL,
		  TUN_HAS_ALL & ~TUN_HAS_USO },
		{ "no TSO for IPv6", TUN_F_CSUM | TUN_F_TSO4, TUN_HAS_ALL,
		  TUN_HAS_HEADER | TUN_HAS_CSUM | TUN_HAS_TSO4 },
		{ "checksums alone", TUN_F_CSUM, TUN_HAS_ALL, TUN_HAS_HEADER | TUN_HAS_CSUM },
		{ "the header alone", 0, TUN_HAS_ALL, TUN_HAS_HEADER },
		{ "less was wanted", ALL_OFFLOADS, TUN_HAS_HEADER | TUN_HAS_CSUM,
		  TUN_HAS_HEADER | TUN_HAS_CSUM },
		{ "TSO is nothing without checksums", ALL_OFFLOADS, TUN_HAS_HEADER | TUN_HAS_TSO4,
		  TUN_HAS_HEADER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(tun_close) struct tun tun = { .fd = -EBADF };

		kernel = (typeof(kernel)){ .has_header = true, .offloads = cases[i].offloads };
		assert_int_equal(tun_open("lo", cases[i].wanted, &tun), 0);
		if (tun.features != cases[i].expected)
			fail_msg("%s: %#x instead of %#x", cases[i].name, tun.features,
				 cases[i].expected);
	}
}

static void without_a_header_nothing_is_asked_for(void **state)
{
	CLEANUP(tun_close) struct tun tun = { .fd = -EBADF };

	(void)state;
	kernel = (typeof(kernel)){ .offloads = ALL_OFFLOADS };
	assert_int_equal(tun_open("lo", TUN_HAS_ALL, &tun), 0);
	assert_int_equal(tun.features, 0);
	assert_int_equal(kernel.tries, 0);
}

static void what_is_no_question_of_features_fails(void **state)
{
	struct tun tun;

	(void)state;
	kernel = (typeof(kernel)){ .attach_error = EBUSY };
	assert_int_equal(tun_open("lo", TUN_HAS_ALL, &tun), -EBUSY);
	kernel = (typeof(kernel)){ .attach_error = EINVAL }; /* an interface of another kind */
	assert_int_equal(tun_open("lo", TUN_HAS_ALL, &tun), -EINVAL);
	kernel = (typeof(kernel)){ .has_header = true, .offload_error = EBADFD };
	assert_int_equal(tun_open("lo", TUN_HAS_ALL, &tun), -EBADFD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_are_given_up_one_at_a_time),
		cmocka_unit_test(without_a_header_nothing_is_asked_for),
		cmocka_unit_test(what_is_no_question_of_features_fails),
	};

	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return 77; /* skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
