/*
 * The virtio_net_hdr values that older kernel headers lack
 */
#pragma once

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
