/*
 * The account of the owner, kept in the document
 *
 * Binds core/account to the document: what it says about sessions, keys and the password reaches the account
 * at each change of theirs; what the account wants kept becomes edits. Owned by the tunnel.
 */
#pragma once

#include "account/account.h"
#include "store/store.h"

struct access;
struct tunnel;

/* For a tunnel whose document is ready. Returns 0, or a negative errno. */
int access_new(struct tunnel *tunnel, struct access **ret);

/* NULL is fine. Returns NULL. */
struct access *access_free(struct access *access);

/* Queues the edit that writes when sessions were active, where it is needed: the last one before the end. */
void access_flush(struct access *access);

struct account *access_account(struct access *access);
