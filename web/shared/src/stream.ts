// The connection that keeps a document up to date: db.subscribe, then revisions over a WebSocket.
//
// A break is noticed and mended without help: the next subscription names the revision that was
// reached, and the daemon sends only what is missing where it still can.

import type { DocumentStore } from './document'
import type { Json, Operation } from './patch'
import { ErrorCode, RpcError } from './rpc'
import { Store } from './store'

export type StreamState =
	| { phase: 'connecting' } // the first time
	| { phase: 'live' }
	| { phase: 'lost'; since: number } // trying again

/** What a stream asks of the daemon. */
export interface Subscriber {
	call(method: 'db.subscribe', params?: { since?: number }): Promise<Json>
}

interface Subscription {
	dump: { id: number; value: Json }
	guid: string
	resumed?: boolean
}

interface Frame {
	id: number
	patch: Operation[]
	status?: Json
}

const RETRY_MS = [500, 1000, 2000, 4000]
/** After so long in the background a connection may have died unnoticed. */
const STALE_MS = 60_000

export class DocumentStream {
	readonly state = new Store<StreamState>({ phase: 'connecting' })
	private socket: WebSocket | null = null
	private timer: ReturnType<typeof setTimeout> | undefined
	private attempt = 0
	private failures = 0
	private running = false
	private hiddenAt = 0

	constructor(
		private readonly rpc: Subscriber,
		private readonly document: DocumentStore,
		private readonly onStatus: (status: Json, first: boolean) => void,
	) {}

	start(): void {
		if (this.running) return
		this.running = true
		this.state.set({ phase: 'connecting' })
		window.addEventListener('online', this.reconnect)
		window.addEventListener('offline', this.onOffline)
		document.addEventListener('visibilitychange', this.onVisibility)
		void this.connect()
	}

	stop(): void {
		this.running = false
		this.attempt++
		clearTimeout(this.timer)
		window.removeEventListener('online', this.reconnect)
		window.removeEventListener('offline', this.onOffline)
		document.removeEventListener('visibilitychange', this.onVisibility)
		this.drop()
	}

	/** Tries at once, without waiting for the next attempt. */
	reconnect = (): void => {
		if (!this.running) return
		clearTimeout(this.timer)
		this.drop()
		void this.connect()
	}

	private onOffline = (): void => this.lost(this.attempt)

	private onVisibility = (): void => {
		if (document.hidden) this.hiddenAt = Date.now()
		else if (this.hiddenAt > 0 && Date.now() - this.hiddenAt > STALE_MS) this.reconnect()
	}

	private drop(): void {
		const socket = this.socket
		this.socket = null
		socket?.close()
	}

	private async connect(): Promise<void> {
		const attempt = ++this.attempt
		try {
			const since = this.document.loaded ? { since: this.document.revision } : {}
			const { dump, guid, resumed } = (await this.rpc.call('db.subscribe', since)) as unknown as Subscription
			if (attempt !== this.attempt) return
			if (!resumed) this.document.replace(dump.id, dump.value)
			this.open(attempt, guid)
		} catch (error) {
			if (error instanceof RpcError && error.code === ErrorCode.unauthorized) return
			this.lost(attempt)
		}
	}

	private open(attempt: number, guid: string): void {
		const scheme = location.protocol === 'http:' ? 'ws' : 'wss'
		const socket = new WebSocket(`${scheme}://${location.host}/ws/rpc/${guid}`)
		let first = true
		this.socket = socket
		socket.onopen = () => {
			if (attempt !== this.attempt) return
			this.failures = 0
			this.state.set({ phase: 'live' })
		}
		socket.onclose = () => this.lost(attempt)
		socket.onmessage = (event) => {
			if (attempt !== this.attempt) return
			try {
				const frame = JSON.parse(String(event.data)) as Frame
				if (frame.patch.length > 0) this.document.revise(frame.id, frame.patch)
				if (frame.status !== undefined) {
					this.onStatus(frame.status, first)
					first = false
				}
			} catch {
				// It does not fit what is here: start over from a whole document.
				this.document.forget()
				this.lost(attempt)
			}
		}
	}

	private lost(attempt: number): void {
		if (!this.running || attempt !== this.attempt) return
		this.attempt++
		this.drop()
		if (this.state.get().phase !== 'lost') this.state.set({ phase: 'lost', since: Date.now() })
		const wait = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)]!
		clearTimeout(this.timer)
		this.timer = setTimeout(() => void this.connect(), wait * (0.75 + Math.random() / 2))
	}
}
