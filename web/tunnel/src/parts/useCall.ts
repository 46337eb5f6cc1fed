// The result of a method that the stream does not carry.

import { useCallback, useEffect, useState } from 'react'

import { rpc } from '../app'
import type { Methods } from '../api'

/** Methods that need no parameters. */
type Plain = { [K in keyof Methods]: object extends Methods[K]['params'] ? K : never }[keyof Methods]

/** null while it is asked for; `reload` asks again and `set` shows what an edit will make of it. */
export function useCall<T>(method: Plain): { value: T | null; error: unknown; reload: () => Promise<void>; set: (value: T) => void } {
	const [value, set] = useState<T | null>(null)
	const [error, setError] = useState<unknown>(null)
	const reload = useCallback(async () => {
		try {
			set((await rpc.call<Plain>(method)) as unknown as T)
			setError(null)
		} catch (caught) {
			setError(caught)
		}
	}, [method])
	useEffect(() => void reload(), [reload])
	return { value, error, reload, set }
}
