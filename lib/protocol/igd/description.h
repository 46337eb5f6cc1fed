/*
 * What a gateway says about itself: the device and its services, as XML
 */
#pragma once

#include <stdint.h>

#include "base/text.h"
#include "igd/igd.h"

/* The id of the device, made of 16 bytes. */
char *igd_uuid_format(const uint8_t bytes[16], char to[IGD_UUID_SIZE]);

/* The device with its parts, of IGD_ROOT_PATH. */
void igd_write_root(struct text *to, const char uuid[IGD_UUID_SIZE]);

/* The actions and variables of the services, of IGD_CONNECTION_PATH and IGD_INTERFACE_PATH. */
void igd_write_connection(struct text *to);
void igd_write_interface(struct text *to);
