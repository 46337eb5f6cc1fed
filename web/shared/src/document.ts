// The daemon's document as the pages see it: what the stream delivered, and on top of it the edits
// whose answer is still out. An edit shows at once, and is taken back when the daemon refuses it.

import { applyFitting, applyPatch, get, type Json, type Operation } from './patch'
import { Store } from './store'

interface Pending {
	patch: readonly Operation[]
}

/** How long an accepted edit still shows if the stream does not bring it; it always should, at once. */
const ACCEPTED_MS = 3000

export class DocumentStore {
	/** What is shown; null before the first dump. */
	readonly view = new Store<Json>(null)
	private base: Json = null
	private id = 0
	private pending: Pending[] = []
	private scheduled = false
	private forgotten = false

	/** The revision that the stream has reached. */
	get revision(): number {
		return this.id
	}

	/** Whether a later dump may be left out and only what is missing be sent. */
	get loaded(): boolean {
		return this.base !== null && !this.forgotten
	}

	/** What is shown stays, but the next dump has to be a whole one. */
	forget(): void {
		this.forgotten = true
	}

	replace(id: number, value: Json): void {
		this.id = id
		this.base = value
		this.forgotten = false
		this.show()
	}

	clear(): void {
		this.id = 0
		this.base = null
		this.pending = []
		this.show()
	}

	/** Applies a revision. Throws PatchError if it does not fit: then a new dump is needed. */
	revise(id: number, patch: readonly Operation[]): void {
		if (id <= this.id) return
		this.base = applyPatch(this.base, patch)
		this.id = id
		this.showSoon()
	}

	/** Shows `patch` at once and runs `action`; takes the patch back when the action fails. */
	async optimistic<T>(patch: readonly Operation[], action: () => Promise<T>): Promise<T> {
		const pending = { patch }
		const drop = () => {
			this.pending = this.pending.filter((other) => other !== pending)
			this.show()
		}
		this.pending = [...this.pending, pending]
		this.show()
		try {
			const result = await action()
			if (this.reflects(patch)) {
				drop()
				return result
			}
			// The revision is still on its way, on the other connection.
			const settle = () => {
				clearTimeout(timer)
				unsubscribe()
				drop()
			}
			const unsubscribe = this.view.subscribe(() => {
				if (this.reflects(patch)) settle()
			})
			const timer = setTimeout(settle, ACCEPTED_MS)
			return result
		} catch (error) {
			drop()
			throw error
		}
	}

	/** Whether what the stream delivered already holds all that a patch says. */
	private reflects(patch: readonly Operation[]): boolean {
		return patch.every(({ op, path, value }) => {
			const there = get(this.base, path)
			return op === 'remove' ? there === undefined : JSON.stringify(there) === JSON.stringify(value ?? null)
		})
	}

	/** Revisions that arrive together are shown together. */
	private showSoon(): void {
		if (this.scheduled) return
		this.scheduled = true
		setTimeout(() => {
			this.scheduled = false
			this.show()
		}, 16)
	}

	private show(): void {
		this.view.set(this.base === null ? null : this.pending.reduce<Json>((value, { patch }) => applyFitting(value, patch), this.base))
	}
}
