// What runs first, while the rest is still being loaded: it asks for the document, which takes longest, and
// sets the colours before anything is painted. It has a file of its own and needs nothing else.

import type { Json } from '@shared/patch'
import { RpcClient } from '@shared/rpc'
import '@shared/scheme'

import type { Methods } from './api'

/** Methods that this release's daemon does not have yet. */
interface Later {
	'update.check': { params: object; result: Json }
	'update.apply': { params: object; result: Json }
	restart: { params: object; result: Json }
}

export type AllMethods = Methods & Later

/** Kept in the browser's storage, so that a page knows without asking whether to show the login. */
export const LOGGED_IN = '_startos/tunnel-loggedIn'

export const wasLoggedIn = (): boolean => localStorage.getItem(LOGGED_IN) === 'true'

export const rpc = new RpcClient<AllMethods>()

if (wasLoggedIn()) rpc.ahead('db.subscribe')
