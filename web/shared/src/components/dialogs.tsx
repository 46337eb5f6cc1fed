// Dialogs over the page. Any code may open one; Dialogs, once at the root, shows them.

import { lazy, Suspense, type ReactNode } from 'react'

import { Store, useStore } from '../store'

export interface OpenDialog {
	id: number
	title: string
	size: string | number
	body: (close: () => void) => ReactNode
	/** What had the focus, and gets it back. */
	opener: HTMLElement | null
}

const open = new Store<readonly OpenDialog[]>([])
let lastId = 0

/** What has the focus; of a menu, which is about to go, the button that opened it. */
function focused(): HTMLElement | null {
	const element = document.activeElement
	const opener = element?.closest('[role="menu"]')?.getAttribute('aria-labelledby')
	return opener ? document.getElementById(opener) : element instanceof HTMLElement ? element : null
}

export function openDialog(dialog: { title: string; size?: string | number; body: (close: () => void) => ReactNode }): void {
	open.update((all) => [...all, { size: 'md', ...dialog, id: ++lastId, opener: focused() }])
}

export function closeDialogs(): void {
	open.set([])
}

export function forgetDialog(id: number): void {
	open.update((all) => all.filter((dialog) => dialog.id !== id))
}

const load = () => import('./Dialog')
const Dialog = lazy(load)

/** Has dialogs ready to be opened: what draws them is not loaded before. */
export const preloadDialogs = (): Promise<unknown> => load()

export function Dialogs({ closeLabel }: { closeLabel: string }) {
	const all = useStore(open, (value) => value)
	return all.map((dialog) => (
		<Suspense key={dialog.id} fallback={null}><Dialog dialog={dialog} closeLabel={closeLabel} /></Suspense>
	))
}
