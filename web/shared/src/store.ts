// A value that many watch (value.ts), and the React hook that reads a part of it.

import { useRef, useSyncExternalStore } from 'react'

import type { Readable } from './value'

export { Store, type Readable } from './value'

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
