// Short messages at the edge of the window: what was done, and what failed.

import { IconButton } from './components/controls'
import { IconCheck, IconClose, IconInfo, IconWarning } from './icons'
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

const icons = { success: <IconCheck size={18} />, error: <IconWarning size={18} />, info: <IconInfo size={18} /> }

/** The place of the messages; read out by screen readers as they come. */
export function Toasts({ dismissLabel, label }: { dismissLabel: string; label: string }) {
	const shown = useStore(toasts, (all) => all)
	return (
		<section className={styles.stack} aria-label={label} aria-live="polite" aria-relevant="additions">
			{shown.map(({ id, kind, title, text }) => (
				<div key={id} className={styles.toast} role={kind === 'error' ? 'alert' : undefined} data-kind={kind}>
					<span className={styles.icon}>{icons[kind]}</span>
					<div className={styles.words}>
						<div className={styles.title}>{title}</div>
						{text && <div className={styles.text}>{text}</div>}
					</div>
					<IconButton aria-label={dismissLabel} onClick={() => hideToast(id)}><IconClose size={16} /></IconButton>
				</div>
			))}
		</section>
	)
}
