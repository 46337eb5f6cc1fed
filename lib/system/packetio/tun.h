/*
 * A TUN device
 *
 * Opened with the virtio_net_hdr in front of every packet and all segmentation offloads that the
 * kernel has; what it refuses is given up one feature at a time. After tun_open() and tun_set_mtu()
 * nothing here needs privilege. Non-blocking.
 */
#pragma once

#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/cleanup.h"

enum tun_features {
	TUN_HAS_HEADER = 1 << 0, /* virtio_net_hdr; the others need it */
	TUN_HAS_CSUM = 1 << 1, /* TSO and USO need it */
	TUN_HAS_TSO4 = 1 << 2,
	TUN_HAS_TSO6 = 1 << 3,
	TUN_HAS_USO = 1 << 4, /* Linux 6.2 */
	TUN_HAS_ALL = (1 << 5) - 1,
};

/* Packets with their header are at most this long. */
#define TUN_READ_MAX (sizeof(struct virtio_net_hdr) + 65535)

struct tun {
	int fd;
	char name[IFNAMSIZ];
	unsigned features; /* enum tun_features: what the kernel agreed to */
	uint32_t ifindex;
};

/*
 * Makes an interface, or attaches to a persistent one that nobody holds. Its first state is down.
 * @features: what to ask for at most.
 * Returns 0, or a negative errno: -EBUSY where another program holds it, -EINVAL for a bad name or
 * an interface of another kind, -EPERM, -ENOENT without /dev/net/tun.
 */
int tun_open(const char *name, unsigned features, struct tun *ret);

/* Closes it, which removes the interface unless it is persistent. */
void tun_close(struct tun *tun);
DEFINE_CLEANUP_DONE(struct tun, tun_close);

/* Returns 0 or a negative errno. */
int tun_set_mtu(const struct tun *tun, uint32_t mtu);

/* Whether the interface is still there, in whatever namespace. */
bool tun_is_attached(const struct tun *tun);

/*
 * Reads one packet, at most @room bytes. Without TUN_HAS_HEADER @header becomes zero.
 * Returns its size, -EAGAIN, -EBADFD once the interface is gone, or another negative errno for a packet
 * that the kernel could not hand over, which is lost.
 */
ssize_t tun_read(const struct tun *tun, struct virtio_net_hdr *header, void *packet, size_t room);

/* Writes one packet. parts[0] is its virtio_net_hdr, zeroed unless TUN_HAS_HEADER. Returns 0 or a
 * negative errno: -EIO while the interface is down. */
int tun_write(const struct tun *tun, const struct iovec *parts, size_t count);
