#include "packetio/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int set_offloads(struct tun *tun, unsigned features)
{
	unsigned long flags = 0;

	if (features & TUN_HAS_CSUM)
		flags |= TUN_F_CSUM;
	if (features & TUN_HAS_TSO4)
		flags |= TUN_F_TSO4;
	if (features & TUN_HAS_TSO6)
		flags |= TUN_F_TSO6;
	if (features & TUN_HAS_USO)
		flags |= TUN_F_USO4 | TUN_F_USO6; /* one without the other is refused */
	if (ioctl(tun->fd, TUNSETOFFLOAD, flags) < 0)
		return -errno;
	tun->features = features;
	return 0;
}

/* Tries what is wanted, then with one feature less each time. */
static int negotiate_offloads(struct tun *tun, unsigned wanted)
{
	static const unsigned order[] = { TUN_HAS_USO, TUN_HAS_TSO6, TUN_HAS_TSO4, TUN_HAS_CSUM };

	if (!(wanted & TUN_HAS_CSUM))
		wanted &= TUN_HAS_HEADER;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (set_offloads(tun, wanted) == 0)
			return 0;
		wanted &= ~order[i];
	}
	return set_offloads(tun, wanted);
}

/* A persistent interface keeps the size that the program before asked for. */
static int set_header_size(struct tun *tun)
{
	int size = sizeof(struct virtio_net_hdr);

	return ioctl(tun->fd, TUNSETVNETHDRSZ, &size) < 0 ? -errno : 0;
}

static int attach(struct tun *tun, const char *name, unsigned *features)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	if (*features & TUN_HAS_HEADER)
		request.ifr_flags |= IFF_VNET_HDR;
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(tun->fd, TUNSETIFF, &request) < 0) {
		if (errno != EINVAL || !(*features & TUN_HAS_HEADER))
			return -errno;
		*features = 0;
		return attach(tun, name, features);
	}
	memcpy(tun->name, request.ifr_name, sizeof(tun->name));
	tun->name[sizeof(tun->name) - 1] = 0;
	return 0;
}

int tun_open(const char *name, unsigned features, struct tun *ret)
{
	CLEANUP(tun_close) struct tun tun = { .fd = -EBADF };
	int r;

	if (strlen(name) == 0 || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	tun.fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tun.fd < 0)
		return -errno;
	r = attach(&tun, name, &features);
	if (r < 0)
		return r;
	if (features & TUN_HAS_HEADER) {
		r = set_header_size(&tun);
		if (r == 0)
			r = negotiate_offloads(&tun, features);
		if (r < 0)
			return r;
	}
	tun.ifindex = if_nametoindex(tun.name);
	*ret = tun;
	tun.fd = -EBADF;
	return 0;
}

void tun_close(struct tun *tun)
{
	cleanup_close_fd(&tun->fd);
	tun->fd = -EBADF;
}

int tun_set_mtu(const struct tun *tun, uint32_t mtu)
{
	struct ifreq request = { .ifr_mtu = (int)mtu };
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(request.ifr_name, tun->name, sizeof(request.ifr_name));
	if (fd < 0 || ioctl(fd, SIOCSIFMTU, &request) < 0)
		return -errno;
	return 0;
}

bool tun_is_attached(const struct tun *tun)
{
	struct ifreq request = { 0 };

	return ioctl(tun->fd, TUNGETIFF, &request) == 0;
}

ssize_t tun_read(const struct tun *tun, struct virtio_net_hdr *header, void *packet, size_t room)
{
	struct iovec parts[2] = { { header, sizeof(*header) }, { packet, room } };
	bool has_header = tun->features & TUN_HAS_HEADER;
	ssize_t size;

	if (!has_header)
		*header = (struct virtio_net_hdr){ 0 };
	size = has_header ? readv(tun->fd, parts, 2) : read(tun->fd, packet, room);
	if (size < 0)
		return -errno;
	if (!has_header)
		return size;
	return size >= (ssize_t)sizeof(*header) ? size - (ssize_t)sizeof(*header) : -EIO;
}

int tun_write(const struct tun *tun, const struct iovec *parts, size_t count)
{
	size_t skip = tun->features & TUN_HAS_HEADER ? 0 : 1;

	return writev(tun->fd, parts + skip, (int)(count - skip)) < 0 ? -errno : 0;
}
