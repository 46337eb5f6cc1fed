// Addresses of pages: the path and the query of the browser's address bar.

import { useCallback, useMemo, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react'

const CHANGED = 'start:navigate'

function subscribe(listener: () => void): () => void {
	window.addEventListener('popstate', listener)
	window.addEventListener(CHANGED, listener)
	return () => {
		window.removeEventListener('popstate', listener)
		window.removeEventListener(CHANGED, listener)
	}
}

export function navigate(to: string, options: { replace?: boolean } = {}): void {
	if (to === location.pathname + location.search) return
	if (options.replace) history.replaceState(null, '', to)
	else history.pushState(null, '', to)
	window.dispatchEvent(new Event(CHANGED))
}

export function usePath(): string {
	return useSyncExternalStore(subscribe, () => location.pathname)
}

/** One parameter of the query, and how to set it (null takes it away) without a new history entry. */
export function useQuery(name: string): [string, (value: string | null) => void] {
	const search = useSyncExternalStore(subscribe, () => location.search)
	const value = useMemo(() => new URLSearchParams(search).get(name) ?? '', [search, name])
	const set = useCallback(
		(next: string | null) => {
			const query = new URLSearchParams(location.search)
			if (next) query.set(name, next)
			else query.delete(name)
			const text = query.toString()
			navigate(location.pathname + (text ? `?${text}` : ''), { replace: true })
		},
		[name],
	)
	return [value, set]
}

/** A link within the pages. With a modifier key it does what any link does. */
export function Link({ to, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }) {
	const follow = (event: MouseEvent<HTMLAnchorElement>) => {
		onClick?.(event)
		if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
		event.preventDefault()
		navigate(to)
	}
	return <a href={to} onClick={follow} {...rest} />
}
