// Short messages at the edge of the window: what was done, and what failed.

import { Notification } from '@mantine/core'

import { IconCheck, IconInfo, IconWarning } from './icons'
import { Store, useStore } from './store'
import styles from './styles/toasts.module.css'

export interface Toast {
	id: number
	kind: 'success' | 'error' | 'info'
	title: string
	text?: string
	/** Stays until it is dismissed or taken back. */
	persistent?: boolean
}

const toasts = new Store<readonly Toast[]>([])
const SHOWN_MAX = 4
const TIME_MS = { success: 4000, info: 6000, error: 12_000 }
let lastId = 0

export function showToast(toast: Omit<Toast, 'id'>): number {
	const id = ++lastId
	toasts.update((all) => [...all.filter((other) => other.title !== toast.title || other.text !== toast.text), { ...toast, id }].slice(-SHOWN_MAX))
	if (!toast.persistent) setTimeout(() => hideToast(id), TIME_MS[toast.kind])
	return id
}

export function hideToast(id: number): void {
	toasts.update((all) => all.filter((toast) => toast.id !== id))
}

const look = {
	success: { color: 'teal', icon: <IconCheck size={18} /> },
	error: { color: 'red', icon: <IconWarning size={18} /> },
	info: { color: 'ink', icon: <IconInfo size={18} /> },
}

/** The place of the messages; read out by screen readers as they come. */
export function Toasts({ dismissLabel, label }: { dismissLabel: string; label: string }) {
	const shown = useStore(toasts, (all) => all)
	return (
		<section className={styles.stack} aria-label={label} aria-live="polite" aria-relevant="additions">
			{shown.map(({ id, kind, title, text }) => (
				<Notification
					key={id}
					className={styles.toast}
					title={title}
					color={look[kind].color}
					icon={look[kind].icon}
					role={kind === 'error' ? 'alert' : undefined}
					onClose={() => hideToast(id)}
					closeButtonProps={{ 'aria-label': dismissLabel }}
					data-kind={kind}
				>
					{text}
				</Notification>
			))}
		</section>
	)
}
