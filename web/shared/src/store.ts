// A value that many watch, and the React hook that reads a part of it.

import { useRef, useSyncExternalStore } from 'react'

export interface Readable<T> {
	get(): T
	subscribe(listener: () => void): () => void
}

export class Store<T> implements Readable<T> {
	private readonly listeners = new Set<() => void>()

	constructor(private value: T) {}

	get = (): T => this.value

	set(value: T): void {
		if (Object.is(value, this.value)) return
		this.value = value
		for (const listener of [...this.listeners]) listener()
	}

	update(change: (value: T) => T): void {
		this.set(change(this.value))
	}

	subscribe = (listener: () => void): (() => void) => {
		this.listeners.add(listener)
		return () => this.listeners.delete(listener)
	}
}

/** The selected part of a store; renders again only when that part is another one. */
export function useStore<T, S>(store: Readable<T>, select: (value: T) => S, equal: (a: S, b: S) => boolean = Object.is): S {
	const last = useRef<{ selected: S } | null>(null)
	const snapshot = () => {
		const selected = select(store.get())
		if (last.current && equal(last.current.selected, selected)) return last.current.selected
		last.current = { selected }
		return selected
	}
	return useSyncExternalStore(store.subscribe, snapshot)
}

/** Same members with identical values. */
export function shallowEqual<T extends object>(a: T, b: T): boolean {
	if (Object.is(a, b)) return true
	const keys = Object.keys(a) as (keyof T)[]
	return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && Object.is(a[key], b[key]))
}
