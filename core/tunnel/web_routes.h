/*
 * What the web interface gives to anybody: our own root, to be trusted (rpc-and-patchdb.md 7.2)
 *
 *	/static/local-root-ca.crt           the root in PEM
 *	/static/local-root-ca.mobileconfig  the same as a profile for Apple's systems
 *	/static/local-root-ca.json          its fingerprint, subject and end, for the login page
 *
 * Not found where the interface's certificate is not of a root of ours.
 */
#pragma once

#include "rpc/front.h"
#include "tunnel/tunnel.h"

#define WEB_ROUTES 4 /* with the end of the table */

struct web_pages;

/* Forgets what is kept of the pages. NULL is fine. Returns NULL. */
struct web_pages *web_pages_free(struct web_pages *pages);

/* Fills a table for the front, which borrows it and the tunnel. */
void web_routes(struct tunnel *tunnel, struct rpc_route ret[WEB_ROUTES]);
