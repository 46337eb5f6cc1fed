// The result of a method that the stream does not carry.

import { useCallback, useEffect, useState } from 'react'

import type { Json } from '@shared/patch'

import { rpc } from '../app'

/** null while it is asked for; `reload` asks again and `set` shows what an edit will make of it. */
export function useCall<T>(method: string): { value: T | null; error: unknown; reload: () => Promise<void>; set: (value: T) => void } {
	const [value, set] = useState<T | null>(null)
	const [error, setError] = useState<unknown>(null)
	const reload = useCallback(async () => {
		try {
			set((await rpc.call<Json>(method)) as unknown as T)
			setError(null)
		} catch (caught) {
			setError(caught)
		}
	}, [method])
	useEffect(() => void reload(), [reload])
	return { value, error, reload, set }
}
