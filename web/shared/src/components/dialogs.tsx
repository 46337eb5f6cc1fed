// Dialogs over the page. Any code may open one; Dialogs, once at the root, shows them.

import { Modal } from '@mantine/core'
import { Suspense, useEffect, useRef, useState, type ReactNode } from 'react'

import { Store, useStore } from '../store'

interface Open {
	id: number
	title: string
	size: string | number
	body: (close: () => void) => ReactNode
}

const open = new Store<readonly Open[]>([])
let lastId = 0

export function openDialog(dialog: { title: string; size?: string | number; body: (close: () => void) => ReactNode }): void {
	open.update((all) => [...all, { size: 'md', ...dialog, id: ++lastId }])
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
	return (
		<Modal.Root
			opened={shown}
			onClose={close}
			onExitTransitionEnd={() => open.update((all) => all.filter(({ id }) => id !== dialog.id))}
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
