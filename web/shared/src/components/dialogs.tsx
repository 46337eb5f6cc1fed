// Dialogs over the page. Any code may open one; Dialogs, once at the root, shows them.

import { Modal } from '@mantine/core'
import { Suspense, useEffect, useRef, useState, type ReactNode } from 'react'

import { Store, useStore } from '../store'

interface Open {
	id: number
	title: string
	size: string | number
	body: (close: () => void) => ReactNode
	/** What had the focus, and gets it back. */
	opener: HTMLElement | null
}

const open = new Store<readonly Open[]>([])
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

/** A body that had to be loaded is not there yet when the dialog takes the focus: it gets it as it comes. */
function Arrived() {
	const here = useRef<HTMLSpanElement>(null)
	useEffect(() => {
		// After the dialog has noted where the focus was.
		const timer = setTimeout(() => here.current?.parentElement?.querySelector<HTMLElement>('[data-autofocus]')?.focus(), 0)
		return () => clearTimeout(timer)
	}, [])
	return <span ref={here} hidden />
}

function Dialog({ dialog, closeLabel }: { dialog: Open; closeLabel: string }) {
	const [shown, setShown] = useState(true)
	const close = () => setShown(false)
	const gone = () => {
		open.update((all) => all.filter(({ id }) => id !== dialog.id))
		// When it is out of the page; unless the focus has gone elsewhere, as to another dialog.
		setTimeout(() => {
			if (document.activeElement === document.body || !document.activeElement) dialog.opener?.focus()
		}, 0)
	}
	return (
		<Modal.Root
			opened={shown}
			onClose={close}
			onExitTransitionEnd={gone}
			returnFocus={false}
			size={dialog.size}
			transitionProps={{ duration: 120 }}
		>
			<Modal.Overlay backgroundOpacity={0.5} />
			<Modal.Content>
				{/* Not the banner of the page, which a <header> would say. */}
				<Modal.Header role="none">
					<Modal.Title>{dialog.title}</Modal.Title>
					<Modal.CloseButton aria-label={closeLabel} />
				</Modal.Header>
				<Modal.Body><Suspense fallback={null}>{dialog.body(close)}<Arrived /></Suspense></Modal.Body>
			</Modal.Content>
		</Modal.Root>
	)
}

export function Dialogs({ closeLabel }: { closeLabel: string }) {
	const all = useStore(open, (value) => value)
	return all.map((dialog) => <Dialog key={dialog.id} dialog={dialog} closeLabel={closeLabel} />)
}
