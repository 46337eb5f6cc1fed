/*
 * SSDP: how a gateway is found (UPnP Device Architecture 1.1 sections 1.2 and 1.3)
 *
 * Reads searches, writes responses and notifications. No state, no I/O.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "igd/igd.h"

#define SSDP_PORT 1900
#define SSDP_GROUP 0xeffffffa /* 239.255.255.250 */
#define SSDP_MESSAGE_MAX 1500 /* bytes of a search that is read */
#define SSDP_RESPONSE_MAX 512
#define SSDP_MAX_AGE_S 1800

enum ssdp_target {
	SSDP_GATEWAY, /* InternetGatewayDevice, of any version, or everything */
	SSDP_ROOT, /* root devices */
	SSDP_CONNECTION_DEVICE,
	SSDP_CONNECTION, /* WANIPConnection */
};

/* Reads a search. Returns 0, -ENOENT where it is not for a gateway, or -EBADMSG for what is no search. */
int ssdp_search_parse(const uint8_t *data, size_t size, enum ssdp_target *ret);

/* Writes the response to a search. @server: the address under which the device reaches us. Returns its
 * size. */
size_t ssdp_response_write(enum ssdp_target target, uint32_t server, const char uuid[IGD_UUID_SIZE],
			   char to[SSDP_RESPONSE_MAX]);

enum ssdp_event {
	SSDP_ALIVE,
	SSDP_BYEBYE,
};

/* Root, devices and services: a notification speaks of one. */
#define SSDP_PARTS 9

/* Writes the notification of an event for a part, below SSDP_PARTS. @server: as above. Returns its size. */
size_t ssdp_notify_write(enum ssdp_event event, unsigned part, uint32_t server,
			 const char uuid[IGD_UUID_SIZE], char to[SSDP_RESPONSE_MAX]);
