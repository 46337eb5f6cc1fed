// What the pages stand on: the session, the document, the live status, and which methods the daemon has.

import { DocumentStore } from '@shared/document'
import { ErrorCode, RpcError } from '@shared/rpc'
import { Store, useStore } from '@shared/store'
import { DocumentStream } from '@shared/stream'

import { LOGGED_IN, rpc, wasLoggedIn } from './boot'
import { Live, type LiveStatus } from './live'
import { readDocument, type TunnelDocument } from './model'

export { rpc }
export const documents = new DocumentStore()
export const live = new Live()
export const stream = new DocumentStream(rpc, documents, live.take)

// --- the session ---

export const session = new Store<'in' | 'out'>(wasLoggedIn() ? 'in' : 'out')

export async function login(password: string): Promise<void> {
	await rpc.call('auth.login', { password })
	localStorage.setItem(LOGGED_IN, 'true')
	session.set('in')
}

export async function logout(): Promise<void> {
	try {
		await rpc.call('auth.logout')
	} finally {
		ended()
	}
}

function ended(): void {
	localStorage.removeItem(LOGGED_IN)
	session.set('out')
}

rpc.onUnauthorized = ended

/** Follows the session: what it showed is forgotten when it ends. */
export function begin(): void {
	const follow = () => {
		if (session.get() === 'in') {
			stream.start()
			void findFeatures()
			void checkForUpdate()
		} else {
			stream.stop()
			documents.clear()
			live.clear()
			update.set(null)
		}
	}
	session.subscribe(follow)
	follow()
	// Another tab logged in or out.
	window.addEventListener('storage', (event) => {
		if (event.key === LOGGED_IN) session.set(event.newValue === 'true' ? 'in' : 'out')
	})
}

// --- what the daemon can do ---

/** Methods that came or come later than the first release with these pages. */
const OPTIONAL = [
	'dns.list', 'dns.add', 'dns.remove', 'subnet.set-dns', 'device.set-dns-injection', 'device.set-auto-port-forward',
	'auth.session.list', 'auth.key.list', 'web.get-listen', 'web.set-listen', 'web.get-certificate', 'web.get-available-ips',
] as const

export type Optional = (typeof OPTIONAL)[number]

/** null until it is known; until then the pages show everything. */
const features = new Store<ReadonlySet<string> | null>(null)

async function findFeatures(): Promise<void> {
	try {
		features.set(await rpc.has(OPTIONAL))
	} catch {
		// Asked again with the next session; a missing method then says so itself.
	}
}

export function useFeature(method: Optional): boolean {
	return useStore(features, (all) => all === null || all.has(method))
}

// --- updates ---

export interface UpdateStatus {
	status: 'up-to-date' | 'update-available' | 'updating'
	installed: string
	candidate: string
}

/** null where the daemon does not know about updates, or it is not known yet. */
export const update = new Store<UpdateStatus | null>(null)

export async function checkForUpdate(): Promise<void> {
	try {
		update.set((await rpc.call('update.check')) as unknown as UpdateStatus)
	} catch (error) {
		if (!(error instanceof RpcError) || error.code === ErrorCode.methodNotFound) update.set(null)
	}
}

// --- reading ---

/** A part of the document; null before it is there. */
export function useTunnel<S>(select: (document: TunnelDocument) => S, equal?: (a: S | null, b: S | null) => boolean): S | null {
	return useStore(
		documents.view,
		(value) => {
			const document = readDocument(value)
			return document && select(document)
		},
		equal,
	)
}

export const theDocument = (): TunnelDocument | null => readDocument(documents.view.get())

export function useLive<S>(select: (status: LiveStatus) => S, equal?: (a: S, b: S) => boolean): S {
	return useStore(live.status, select, equal)
}
