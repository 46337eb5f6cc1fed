/*
 * The pages of the web interface, which the daemon carries in itself
 *
 * Constant; made at build time from web/ (tools/pack-files). Without any file where the build has
 * no pages (-Dpages=false).
 */
#pragma once

#include "http/files.h"

extern const struct http_files pages;
